"""Changes single values of a YAML file and leaves every other byte as it is.

A round trip through a parser gives comments back, but with its own indentation and line breaks, and a person finds a
diff of the whole file. Here the parser only says where a value stands; text is put in or taken out there. Each change
is proven by reading the file again: it must say what it said before, and the change, or nothing is changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from appliance.core.document import read_document
from appliance.core.problems import ConfigurationError, Path, path_text

type Value = str | int | list[Any] | dict[str, Any]

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9+/=._:-]*(?<!:)\Z")
"""Text that YAML reads as itself, in a list and in a mapping too (YAML 1.2, section 7.3.3)."""
_STEP = 2


class Unable(ValueError):
    """The file is written in a way that this does not change; the text says what and where."""


class Flow(dict[str, Any]):
    """A mapping that is written on one line, {a: 1, b: 2}; any other is written with a line for each key."""


def insert(content: bytes, path: Path, key: str, value: Value) -> bytes:
    """The file with `key: value` at the end of the mapping at `path`, which is made where there is none.

    Raises Unable.
    """
    if not _has(content, path):
        return insert(content, path[:-1], str(path[-1]), {key: value})
    return _proven(content, path, lambda found: found.update({key: value}), lambda text: text.add(path, key, value))


def append(content: bytes, path: Path, value: Value) -> bytes:
    """The file with `value` at the end of the list at `path`, which is made where there is none. Raises Unable."""
    if not _has(content, path):
        return insert(content, path[:-1], str(path[-1]), [value])
    return _proven(content, path, lambda found: found.append(value), lambda text: text.add(path, None, value))


def replace(content: bytes, path: Path, value: str | int) -> bytes:
    """The file with another value at `path`. Raises Unable."""

    def change(around: Any) -> None:
        around[path[-1]] = value

    return _proven(content, path[:-1], change, lambda text: text.replace(path, value))


def delete(content: bytes, path: Path) -> bytes:
    """The file without the entry at `path`, its own comments included. Raises Unable."""

    def change(around: Any) -> None:
        del around[path[-1]]

    return _proven(content, path[:-1], change, lambda text: text.delete(path))


def _has(content: bytes, path: Path) -> bool:
    value = read_document(content).value
    for part in path:
        if not isinstance(value, dict | list) or (isinstance(value, dict) and part not in value):
            return False
        value = value[part]  # type: ignore[index]
    return True


def _proven(content: bytes, path: Path, change: Callable[[Any], None], edit: Callable[[_Text], str]) -> bytes:
    wanted = read_document(content).value
    around = wanted
    for part in path:
        around = around[part]
    if not isinstance(around, dict | list):
        raise Unable(f"{path_text(path)} has no value; write one, or remove the line")
    change(around)
    mark = "\ufeff" if content.startswith("\ufeff".encode()) else ""
    changed = (mark + edit(_Text(content.decode().removeprefix(mark)))).encode()
    try:
        same = read_document(changed).value == wanted
    except ConfigurationError:
        same = False
    if not same:
        raise Unable(f"{path_text(path)} is written in a way that only a person can change; edit the file by hand")
    return changed


class _Text:
    """The text of a file, with the places of its values (yaml_event_t's marks count characters)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = yaml.compose(text, Loader=yaml.CSafeLoader)
        self.newline = "\r\n" if "\r\n" in text else "\n"

    # -- where ------------------------------------------------------------------------------------------------------

    def _node(self, path: Path) -> Any:
        return self._entry(path)[1] if path else self.root

    def _entry(self, path: Path) -> tuple[Any, Any]:
        """The node of the key (of the value, in a list), and that of the value."""
        node = self._node(path[:-1])
        if isinstance(node, yaml.SequenceNode):
            return node.value[path[-1]], node.value[path[-1]]
        return next((key, value) for key, value in node.value if key.value == path[-1])

    def _end(self, node: Any) -> int:
        """Behind the last character of a node: libyaml ends a block where the next thing begins."""
        if isinstance(node, yaml.ScalarNode) or node.flow_style:
            return len(self.text[: node.end_mark.index].rstrip("\r\n"))
        last = node.value[-1]
        key, value = last if isinstance(last, tuple) else (last, last)
        return max(self._end(value), int(key.end_mark.index))

    def _line(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _next_line(self, index: int) -> int:
        return self.text.find("\n", index) + 1 or len(self.text)

    # -- changes ----------------------------------------------------------------------------------------------------

    def add(self, path: Path, key: str | None, value: Value) -> str:
        node = self._node(path)
        if not node.flow_style:
            first = node.value[0][0] if key else node.value[0]
            column = first.start_mark.column if key else self._dash(first)
            return self._with_lines(self._end(node), written(key, value, column))
        if not node.value and path and not self._node(path[:-1]).flow_style:
            # `peers: {}` had nobody to show how it is written.
            name, _ = self._entry(path)
            column = name.start_mark.column + _STEP
            start, end = node.start_mark.index, node.end_mark.index
            text = self.text[:start].rstrip(" ") + self.text[end:]
            return _Text.lines_at(text, len(self.text[:start].rstrip(" ")), written(key, value, column), self.newline)
        item = f"{plain(key)}: {inline(value)}" if key else inline(value)
        if not node.value:
            at = int(node.start_mark.index) + 1
            return self.text[:at] + item + self.text[at:]
        at = self._end(node.value[-1][1] if key else node.value[-1])
        return f"{self.text[:at]}, {item}{self.text[at:]}"

    def replace(self, path: Path, value: str | int) -> str:
        node = self._node(path)
        if not isinstance(node, yaml.ScalarNode):
            raise Unable(f"{path_text(path)} is no single value")
        return self.text[: node.start_mark.index] + plain(value) + self.text[self._end(node) :]

    def delete(self, path: Path) -> str:
        around = self._node(path[:-1])
        key, value = self._entry(path)
        entries = [each if isinstance(each, tuple) else (each, each) for each in around.value]
        position = next(index for index, each in enumerate(entries) if each[0] is key)
        if around.flow_style:
            start, end = int(key.start_mark.index), self._end(value)
            if position + 1 < len(entries):
                end = int(entries[position + 1][0].start_mark.index)
            elif position:
                start = self._end(entries[position - 1][1])
            return self.text[:start] + self.text[end:]
        start, end = self._line(key.start_mark.index), self._next_line(self._end(value))
        if self.text[start : key.start_mark.index].strip(" -"):
            raise Unable(f"{path_text(path)} shares its line with something else; edit the file by hand")
        if len(entries) > 1:
            return self.text[: self._comments(start, position)] + self.text[end:]
        name, _ = self._entry(path[:-1])
        colon = self.text.index(":", name.end_mark.index) + 1
        empty = " {}" if isinstance(around, yaml.MappingNode) else " []"
        return self.text[:colon] + empty + self.text[colon:start] + self.text[end:]

    def _comments(self, start: int, position: int) -> int:
        """Where the comment lines right above an entry begin. Above the first one they are the heading of all."""
        column = len(self.text[start:]) - len(self.text[start:].lstrip(" "))
        while position and start:
            above = self._line(start - 1)
            line = self.text[above:start]
            if not line.lstrip(" ").startswith("#") or len(line) - len(line.lstrip(" ")) != column:
                break
            start = above
        return start

    def _dash(self, node: Any) -> int:
        """The column of the dash before an item of a list."""
        before = self.text[self._line(node.start_mark.index) : node.start_mark.index].rstrip(" ")
        if before.strip(" ") != "-":
            raise Unable("a list is written in a way that only a person can change; edit the file by hand")
        return len(before) - 1

    def _with_lines(self, index: int, lines: Iterator[str]) -> str:
        return _Text.lines_at(self.text, index, lines, self.newline)

    @staticmethod
    def lines_at(text: str, index: int, lines: Iterator[str], newline: str) -> str:
        """The text with lines behind the one that `index` is in."""
        at = text.find("\n", index) + 1
        block = "".join(f"{line}{newline}" for line in lines)
        return text[:at] + block + text[at:] if at else f"{text}{newline}{block}"


def written(key: str | None, value: Value, column: int) -> Iterator[str]:
    """The lines of an entry, `key` None for one of a list, whose first character stands at `column`."""
    blank = " " * column
    head = f"{blank}-" if key is None else f"{blank}{plain(key)}:"
    if isinstance(value, dict) and value and not isinstance(value, Flow):
        if key is None:
            raise Unable("an entry of a list is written on one line")
        yield head
        for name, each in value.items():
            yield from written(name, each, column + _STEP)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        yield head
        for each in value:
            yield from written(None, each, column + _STEP)
    else:
        yield f"{head} {inline(value)}"


def inline(value: Value) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{plain(name)}: {inline(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return plain(value)


def plain(value: str | int) -> str:
    """A single value, in quotes where YAML would read something else."""
    text = str(value)
    if isinstance(value, int) or (_PLAIN.match(text) and read_document(text.encode()).value == text):
        return text
    return json.dumps(text, ensure_ascii=False)
