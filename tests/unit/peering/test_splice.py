"""Whatever a file looks like, a change touches what it changes and not one byte more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.document import read_document
from appliance.core.splice import Flow, Unable, append, delete, insert, replace
from tests.unit.config.examples import PROPERTY

COMMENTS = st.sampled_from(["", "", "  # why", " # {not: yaml}", "   #", "\t# tab"])
SCALARS = st.sampled_from(
    ["1", "word", '"in quotes"', "'single: quotes'", "10.0.0.1/24", "fd00::1", "true", "[]", "{}"]
)
FLOWS = st.sampled_from(["{a: 1, b: [x, y]}", "[1, 2,  3]", "{a: 1,}", "{ a: 1 }", "{a: {b: {c: d}}}"])


@st.composite
def blocks(draw: st.DrawFn, depth: int = 0, column: int = 0) -> list[str]:
    """The lines of a mapping, with comments and blank lines as people leave them."""
    lines: list[str] = []
    for number in range(draw(st.integers(1, 4))):
        lines += draw(st.lists(st.sampled_from(["", "# heading", " " * column + "# above", "   "]), max_size=2))
        key, comment = " " * column + f"key{number}:", draw(COMMENTS)
        kind = draw(st.integers(0, 3 if depth < 3 else 1))
        if kind <= 1:
            lines.append(f"{key} {draw(SCALARS if kind == 0 else FLOWS)}{comment}")
        elif kind == 2:
            lines += [key + comment, *draw(blocks(depth + 1, column + draw(st.integers(1, 4))))]
        else:
            dash = " " * (column + draw(st.sampled_from([0, 2])))
            lines += [
                key + comment,
                *(f"{dash}- {draw(SCALARS)}{draw(COMMENTS)}" for _ in range(draw(st.integers(1, 3)))),
            ]
    return lines


@st.composite
def files(draw: st.DrawFn) -> bytes:
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    return (newline.join(draw(blocks())) + draw(st.sampled_from(["", newline]))).encode()


def places(value: object, kind: type, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where mappings (or lists) stand, not those inside lists."""
    if isinstance(value, kind):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from places(inner, kind, (*path, key))


def lines_kept(before: bytes, after: bytes) -> bool:
    """Whether every line from before stands in the same order, but for those on which braces were opened."""
    rest = iter(after.splitlines())
    return all(line in rest for line in before.splitlines() if b"{" not in line and b"[" not in line)


@PROPERTY
@given(files(), st.data())
def test_what_is_put_in_can_be_taken_out(content: bytes, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(read_document(content).value, dict))))
    value = data.draw(st.sampled_from(["word", ["a", "b"], {"x": "1:2", "y": Flow(z="no")}, Flow(a=1)]))
    after = insert(content, path, "new", value)
    assert lines_kept(content, after)
    around = read_document(content).value
    for part in path:
        around = around[part]
    if around:  # an empty mapping may be written in another way afterwards
        back = delete(after, (*path, "new"))
        assert back == content or back.rstrip() == content.rstrip()


@PROPERTY
@given(files(), st.data())
def test_lists(content: bytes, data: st.DataObject) -> None:
    found = list(places(read_document(content).value, list))
    if not found:
        return
    path = data.draw(st.sampled_from(found))
    after = append(content, path, Flow(a="b"))
    assert lines_kept(content, after)
    items = read_document(content).value
    for part in path:
        items = items[part]
    if items:
        back = delete(after, (*path, len(items)))
        assert back == content or back.rstrip() == content.rstrip()


def test_a_value_keeps_its_comment() -> None:
    content = b"a:\n  b: old   # why\n  c: 1\n"
    assert replace(content, ("a", "b"), "new: x") == b'a:\n  b: "new: x"   # why\n  c: 1\n'


def test_a_byte_order_mark_stays() -> None:
    assert insert("\ufeffa: 1\n".encode(), (), "b", "2") == '\ufeffa: 1\nb: "2"\n'.encode()


def test_what_only_a_person_can_change() -> None:
    with pytest.raises(Unable, match="firewall has no value"):
        insert(b"firewall:\n", ("firewall",), "a", "b")
