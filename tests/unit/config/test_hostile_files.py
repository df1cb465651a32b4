"""Files that no editor wrote: each ends in one clear sentence, soon, and never in a traceback."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.check import check
from appliance.core.document import MAXIMUM_BYTES
from appliance.core.problems import ConfigurationError, Problem
from tests.unit.config.examples import EXAMPLE, OFFICE, PROPERTY
from tests.unit.config.test_wrong_values import assert_clear

BOMB = b"a: &a [x, x]\n" + b"".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n".encode() for n in range(20)
)


def refusal(content: bytes) -> Problem:
    start = time.process_time()
    with pytest.raises(ConfigurationError) as raised:
        check(content)
    assert time.process_time() - start < 2
    assert len(raised.value.problems) == 1
    return raised.value.problems[0]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "the file is empty"),
        (b"# nothing\n---\n", 1, "keys and values"),
        (b"hello\n", 1, "keys and values"),
        (b"#" * 10_000_000, 1, "at most 4 MB"),
        (EXAMPLE + b"#" * MAXIMUM_BYTES, 1, "at most 4 MB"),
        (BOMB, 1, "an anchor (&name) is not allowed"),
        (b"a: *b\n", 1, "an alias (*name) is not allowed"),
        (b"a: {<<: *b}\n", 1, "an alias (*name) is not allowed"),
        (b"a: !!python/object:os.system [x]\n", 1, "a tag (tag:yaml.org,2002:python/object:os.system) is not allowed"),
        (b"? [a, b]\n: c\n", 1, "a key must be one plain word"),
        (EXAMPLE + b"---\nversion: 1\n", EXAMPLE.count(b"\n") + 1, "a second document starts here"),
        (b"version: 1\nsite: z\xfcrich\n", 2, "not UTF-8"),
        (EXAMPLE.decode().encode("utf-16"), 1, "not UTF-8"),
        (b"version: 1\nboxes:\n\talpha: {}\n", 3, "a tab stands here"),
        (b"version: 1\nsite: a\x00b\n", 2, "U+0000"),
        (b"version: 1\nsite: a\x1bb\n", 2, "U+001B"),
        (b"version: 1\nsite: 'zurich\n", 3, "not YAML"),
        (b"[" * 10_000, 1, "nested more than 32 deep"),
        (b"a: " + b"[" * 10_000 + b"]" * 10_000, 1, "nested more than 32 deep"),
        (b"{a: " * 10_000, 1, "nested more than 32 deep"),
        (b"".join(b" " * n + b"a:\n" for n in range(2000)), 33, "nested more than 32 deep"),
        (b"- " * 10_000, 1, "nested more than 32 deep"),
        (b"version: 1\nversion: 1\n", 2, "a second time (first in line 1)"),
        (b"k" * 3000 + b": 1\n", 1, "not YAML"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
def test_one_sentence(content: bytes, line: int, words: str) -> None:
    problem = refusal(content)
    assert words in problem.message
    assert problem.mark.line == line
    assert problem.line("f").isprintable()


def test_a_byte_order_mark_is_fine() -> None:
    assert check(b"\xef\xbb\xbf" + EXAMPLE)


def test_line_ends_of_windows_are_fine() -> None:
    assert check(EXAMPLE.replace(b"\n", b"\r\n"))


def test_words_that_yaml_1_1_took_for_something_else() -> None:
    text = OFFICE.replace("site: zurich", "site: no").replace("lan:", "off:")
    config, _ = check(text.encode())
    assert config.site == "no"
    assert list(config.boxes["alpha"].interfaces) == ["wan", "off"]


def test_a_value_that_is_written_twice_a_thousand_times() -> None:
    content = OFFICE.encode() + b"dns: [9.9.9.9]\n" * 1000
    with pytest.raises(ConfigurationError) as raised:
        check(content)
    assert len(raised.value.problems) == 999


def test_a_megabyte_of_rules() -> None:
    rules = b"    - {from: lan, to: wan}\n" * 38_000
    start = time.process_time()
    with pytest.raises(ConfigurationError):
        check(OFFICE.encode() + b"firewall:\n  allow:\n" + rules)
    assert time.process_time() - start < 8


@PROPERTY
@given(st.binary(max_size=300))
def test_random_bytes(content: bytes) -> None:
    assert_clear(content)


@PROPERTY
@given(st.text(alphabet="abc:-[]{}&*!|>'\"#%@`,? \n\t0.~\\/\u2028\ufeff", max_size=80))
def test_random_yaml(text: str) -> None:
    assert_clear(text.encode())


LINES = EXAMPLE.splitlines(keepends=True)
EDITS = st.tuples(
    st.sampled_from(["drop", "again", "swap", "indent", "outdent", "splice"]),
    st.integers(0, len(LINES) - 1),
    st.integers(0, len(LINES) - 1),
)


@PROPERTY
@given(st.lists(EDITS, min_size=1, max_size=6))
def test_the_example_edited_in_a_hurry(edits: list[tuple[str, int, int]]) -> None:
    """Whole lines gone, doubled, exchanged, moved in or out, or run into one another: mostly YAML still, and wrong."""
    lines = list(LINES)
    for edit, one, other in edits:
        one, other = one % len(lines), other % len(lines)
        if edit == "drop" and len(lines) > 1:
            del lines[one]
        elif edit == "again":
            lines.insert(other, lines[one])
        elif edit == "swap":
            lines[one], lines[other] = lines[other], lines[one]
        elif edit == "indent":
            lines[one] = b"  " + lines[one]
        elif edit == "outdent":
            lines[one] = lines[one].removeprefix(b"  ")
        elif edit == "splice":
            lines[one] = lines[one].rstrip(b"\n") + lines[other].lstrip()
    assert_clear(b"".join(lines))


@PROPERTY
@given(st.integers(0, len(EXAMPLE) - 1), st.integers(0, 40), st.binary(max_size=12))
def test_the_example_with_a_hole(start: int, length: int, instead: bytes) -> None:
    assert_clear(EXAMPLE[:start] + instead + EXAMPLE[start + length :])
