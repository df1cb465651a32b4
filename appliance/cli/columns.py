"""Lines and columns for people, in colour on a terminal. Rich does it nicer, and takes a hundred times as long for
1,000 rows."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

_CODES = {"bold": 1, "red": 31, "green": 32, "yellow": 33}
_COLOURED = re.compile(r"\x1b\[\d+m")
_NARROWEST = 20
"""The last column is at least so wide; where that is not to be had, it goes on in lines of its own."""


def coloured(colour: str, text: str) -> str:
    """The text in that colour ("": in none); `say` takes the colour away where nobody would see it."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour else text


def say(*lines: str) -> None:
    """Prints them (https://no-color.org)."""
    plain = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    text = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(_COLOURED.sub("", text) if plain else text)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], width: int = 0) -> Iterator[str]:
    """The lines of a table with a blank line above and below. The last column goes on in further lines where it does
    not fit, by words; a cell's own line breaks stay. `width` 0: the terminal's."""
    width = width or _width()
    found = [list(row) for row in rows]
    widths = [max(len(_COLOURED.sub("", row[at])) for row in (titles, *found)) for at in range(len(titles) - 1)]
    indent = sum(widths) + 2 * len(widths)
    beside = width - indent >= _NARROWEST
    room = width - (indent if beside else 2)
    yield ""
    yield from map(str.rstrip, _row(titles, widths, indent, room, True))
    whole = max((len(line) for row in found for line in row[-1].split("\n")), default=0)
    yield "─" * min(width, indent + max(len(titles[-1]), whole if beside else 0))
    for row in found:
        yield from map(str.rstrip, _row(row, widths, indent, room, beside))
    yield ""


def _width() -> int:
    """shutil's way to it loads three compression libraries."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (ValueError, OSError):
        return 80


def _row(row: Sequence[str], widths: Sequence[int], indent: int, room: int, beside: bool) -> Iterator[str]:
    head = "".join(_filled(cell, size) + "  " for cell, size in zip(row[:-1], widths, strict=True))
    last = row[-1]
    if "\n" not in last and len(last) <= room:
        lines = [last]
    else:
        lines = [
            part for line in last.split("\n") for part in textwrap.wrap(line, room, break_on_hyphens=False) or [""]
        ]
    if not beside:
        yield head
        yield from (f"  {line}" for line in lines if line)
        return
    yield head + lines[0]
    yield from (" " * indent + line for line in lines[1:])


def _filled(cell: str, size: int) -> str:
    return cell + " " * (size - (len(_COLOURED.sub("", cell)) if "\x1b" in cell else len(cell)))
