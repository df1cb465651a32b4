"""Bytes of appliance.yaml to plain values, with the place of each one kept.

YAML is read with libyaml's event stream rather than its loaders: events carry positions, cost little for a file of
a thousand peers, and let everything that has no place in a configuration (anchors, aliases, tags, a second
document, a key written twice) be refused where it stands. Scalars follow the YAML 1.2 core schema: `no` is a word,
`1:20` is not sixty-base arithmetic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import yaml

from appliance.core.problems import ConfigurationError, Mark, Path, Problem

MAXIMUM_BYTES = 4 * 1024 * 1024
MAXIMUM_DEPTH = 32

_CONTROL = re.compile("[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What is no character of YAML (YAML 1.2, section 5.1)."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?\Z")
_NUMERIC = frozenset("+-.0123456789")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class Position(Protocol):
    """libyaml's own mark. Few of the thousands that a file has are ever shown, so they are kept as they come."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """The values of a file, and where each key and value stands; `empty` are the keys and items without a value."""

    value: Any
    positions: dict[Path, Position] = field(default_factory=dict)
    empty: list[Path] = field(default_factory=list)

    def mark(self, path: Path) -> Mark:
        """The place of `path`, or of the nearest thing around it that the file does contain."""
        found = self._position(path)
        return _mark(found) if found else Mark(1, 1)

    def line(self, path: Path) -> int:
        """The line of that place."""
        found = self._position(path)
        return found.line + 1 if found else 1

    def _position(self, path: Path) -> Position | None:
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path)


def read_document(content: bytes) -> Document:
    """Reads one YAML document that consists of mappings, lists and scalars only.

    Raises ConfigurationError with every problem of the kind that does not stop the reading (keys written twice),
    or with the one that does.
    """
    if len(content) > MAXIMUM_BYTES:
        size = f"{len(content) / 1e6:.1f} MB"
        raise ConfigurationError([Problem((), f"the file is {size} long; a configuration is at most 4 MB")])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        message = "the file is not UTF-8 text here; save it as UTF-8"
        raise ConfigurationError([Problem((), message, _place(content[: error.start].decode("utf-8")))]) from None
    if control := _CONTROL.search(text):
        message = f"a control character (U+{ord(control[0]):04X}) stands here; remove it"
        raise ConfigurationError([Problem((), message, _place(text[: control.start()]))])
    reader = _Reader(content)
    try:
        document = reader.document()
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError([_syntax_problem(error, content)]) from None
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise ConfigurationError([Problem((), f"this is not YAML: {message}")]) from None
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return document


def _place(before: str) -> Mark:
    """Where the text that follows `before` begins."""
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _syntax_problem(error: yaml.MarkedYAMLError, content: bytes) -> Problem:
    place = error.problem_mark or error.context_mark
    mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
    what = (error.problem or "it cannot be read").strip()
    line = next(islice(content.splitlines(), mark.line - 1, None), b"").decode("utf-8")
    if "cannot start any token" in what and line[mark.column - 1 : mark.column] == "\t":
        return Problem((), "a tab stands here; YAML indents with spaces only", mark)
    context = f" ({error.context})" if error.context else ""
    return Problem((), f"this is not YAML: {what}{context}", mark)


class _Reader:
    """Builds values from libyaml's events, one event at a time, without ever holding two copies of the file."""

    def __init__(self, content: bytes) -> None:
        self.next = yaml.CSafeLoader(content).get_event
        self.problems: list[Problem] = []
        self.positions: dict[Path, Position] = {}
        self.empty: list[Path] = []

    def document(self) -> Document:
        self.next()  # the start of the stream
        event = self.next()
        if isinstance(event, yaml.StreamEndEvent):
            raise ConfigurationError([Problem((), "the file is empty; it must at least say `version: 1`")])
        value = self.value((), self.next(), 0)
        self.next()  # the end of the document
        event = self.next()
        if not isinstance(event, yaml.StreamEndEvent):
            message = "a second document starts here; a configuration is one document, without `---` inside"
            raise ConfigurationError([Problem((), message, _mark(event.start_mark))])
        return Document(value, self.positions, self.empty)

    def value(self, path: Path, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is yaml.AliasEvent:
            self.stop(path, event, "an alias (*name) is not allowed; write the value out")
        if event.anchor is not None:
            self.stop(path, event, "an anchor (&name) is not allowed; remove it")
        if event.tag is not None and not (kind is yaml.ScalarEvent and event.tag == "!"):
            self.stop(path, event, f"a tag ({event.tag}) is not allowed; remove it")
        if path not in self.positions:
            self.positions[path] = event.start_mark
        if kind is yaml.ScalarEvent:
            value = _scalar(event.value) if event.implicit[0] else event.value
            if value is None:
                self.empty.append(path)
            return value
        if depth == MAXIMUM_DEPTH:
            self.stop(path, event, f"values are nested more than {MAXIMUM_DEPTH} deep")
        if kind is yaml.SequenceStartEvent:
            return self.sequence(path, depth + 1)
        return self.mapping(path, depth + 1)

    def sequence(self, path: Path, depth: int) -> list[Any]:
        following, end = self.next, yaml.SequenceEndEvent
        items: list[Any] = []
        while type(event := following()) is not end:
            items.append(self.value((*path, len(items)), event, depth))
        return items

    def mapping(self, path: Path, depth: int) -> dict[str, Any]:
        following, end, positions = self.next, yaml.MappingEndEvent, self.positions
        entries: dict[str, Any] = {}
        while type(event := following()) is not end:
            if type(event) is not yaml.ScalarEvent:
                self.stop(path, event, "a key must be one plain word")
            key = event.value
            place = (*path, key)
            if key in entries:
                first = positions[place].line + 1
                message = f"this key stands a second time (first in line {first}); keep one of the two"
                self.problems.append(Problem(place, message, _mark(event.start_mark)))
                self.value((*path, key, "again"), following(), depth)
                continue
            positions[place] = event.start_mark
            entries[key] = self.value(place, following(), depth)
        return entries

    def stop(self, path: Path, event: Any, message: str) -> None:
        raise ConfigurationError([*self.problems, Problem(path, message, _mark(event.start_mark))])


def _mark(position: Position) -> Mark:
    return Mark(position.line + 1, position.column + 1)


def _scalar(text: str) -> str | int | float | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INTEGER.match(text):
        return int(text)
    if any(mark in text for mark in ".eE") and _FLOAT.match(text):
        return float(text)
    return text
