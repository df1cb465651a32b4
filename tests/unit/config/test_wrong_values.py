"""Every value of the example, wrong in every way that YAML allows: it is accepted, or refused in clear sentences."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.check import check
from appliance.core.document import read_document
from appliance.core.problems import ConfigurationError, Path, path_text
from tests.unit.config.examples import EXAMPLE, PROPERTY

VALUE: dict[str, Any] = read_document(EXAMPLE).value


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from places(item, (*path, position))


PLACES = list(places(VALUE))

WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    2**31,
    10**18,
    10**40,
    0.5,
    -1e300,
    "",
    " ",
    "x",
    "auto",
    "dhcp",
    "box",
    "office.alice",
    "10.20.0.10",
    "192.168.10.1/24",
    "192.168.10.0/33",
    "0.0.0.0/0",
    "::/0",
    "::ffff:1.2.3.4",
    "fe80::1%x\ny",
    "tcp/0",
    "tcp/99999",
    "[::1]:0",
    ":1",
    "a" * 5000,
    "ü\u202e\u0007\u2028\x7f",
    "zeile\nzeile",
    "\U0001f9a5" * 20,
    "٣",
    "{message} %s {0}",
    [],
    {},
    [[]],
    [None],
    [[["x"]]],
    ["a", 1, {}],
    {"a": {"b": ["c"]}},
    {"secret": "x"},
    {"": ""},
    {"a\nb": 1},
    ["x"] * 300,
]


def at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def replaced(path: Path, wrong: Any) -> Any:
    if not path:
        return wrong
    value = copy.deepcopy(VALUE)
    at(value, path[:-1])[path[-1]] = wrong
    return value


def assert_clear(content: bytes) -> bool:
    """True when the file is accepted. What is refused is refused in single printable lines, with places in the file."""
    try:
        check(content)
    except ConfigurationError as error:
        assert error.problems
        last = len(content.decode(errors="replace").splitlines()) + 2
        for problem in error.problems:
            line = problem.line("appliance.yaml")
            assert problem.message.strip()
            assert line.isprintable(), line
            assert 1 <= problem.mark.line <= last
            assert problem.mark.column >= 1
            assert len(problem.message) < 600, line
        return False
    return True


def written(value: Any) -> bytes:
    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    return text.encode()


def test_the_example_survives_being_written() -> None:
    assert assert_clear(written(VALUE))


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path_text(path) or "the-file")
def test_a_wrong_value(path: Path) -> None:
    for wrong in WRONG:
        assert_clear(written(replaced(path, wrong)))


@pytest.mark.parametrize("path", PLACES[1:], ids=path_text)
def test_a_value_is_missing(path: Path) -> None:
    value = copy.deepcopy(VALUE)
    del at(value, path[:-1])[path[-1]]
    assert_clear(written(value))


@pytest.mark.parametrize(
    "path",
    [path for path in PLACES if isinstance(at(VALUE, path), dict)],
    ids=lambda path: path_text(path) or "the-file",
)
@pytest.mark.parametrize("key", ["nonsense", "", "a\nb", "x" * 1000, "Ü", "a.b", "1", "null"])
def test_an_unknown_key(path: Path, key: str) -> None:
    value = copy.deepcopy(VALUE)
    at(value, path)[key] = 1
    assert not assert_clear(written(value))


@pytest.mark.parametrize("path", [path for path in PLACES if path], ids=path_text)
def test_a_value_stands_in_a_list_or_twice(path: Path) -> None:
    old = at(VALUE, path)
    for wrong in ([old], [old, old], [[old]], {"value": old}, str(old)):
        assert_clear(written(replaced(path, wrong)))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@PROPERTY
@given(st.sampled_from(PLACES), anything)
def test_anything_anywhere(path: Path, wrong: Any) -> None:
    assert_clear(written(replaced(path, wrong)))


@PROPERTY
@given(st.sampled_from(PLACES[1:]), st.sampled_from(PLACES[1:]))
def test_a_value_from_elsewhere(path: Path, other: Path) -> None:
    assert_clear(written(replaced(path, copy.deepcopy(at(VALUE, other)))))
