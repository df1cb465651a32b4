"""What is wrong with a configuration, where it stands, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

Path = tuple[str | int, ...]
"""Where a value stands in appliance.yaml: the keys and list positions that lead to it."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A position in the file; line and column count from 1, as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `message` says what, and what to write instead."""

    path: Path
    message: str
    mark: Mark = Mark(1, 1)

    def line(self, file: str) -> str:
        """`FILE:LINE:COLUMN: path: message`, the form that editors and people jump to."""
        where = f"{file}:{self.mark.line}:{self.mark.column}: "
        return where + (f"{path_text(self.path)}: {self.message}" if self.path else self.message)


class ConfigurationError(Exception):
    """The configuration cannot be used. `problems` holds every reason, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.mark)
        super().__init__("; ".join(problem.message for problem in self.problems))


def path_text(path: Path) -> str:
    """`firewall.allow[3].to`, the way a person would say it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{_key(part)}" if text else _key(part)
    return text


@lru_cache
def _key(key: str) -> str:
    """A key as it is shown; one that could break a line or steer a terminal is quoted, a long one is cut."""
    key = key if len(key) <= 60 else f"{key[:57]}..."
    return key if key and key.isprintable() and not set(key) & set(" :[]'\"") else repr(key)
