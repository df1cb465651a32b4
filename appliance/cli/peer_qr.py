"""A peer's file as a QR code, which the WireGuard apps read: in half blocks on a terminal, or as a picture."""

from __future__ import annotations

import io
import shutil
import sys

import segno

from appliance.cli.failure import NoRoom

BORDERS = (4, 2, 1)
"""Light modules around the code: ISO/IEC 18004 wants 4; cameras find it with fewer where a terminal is small."""
_BLACK_ON_WHITE, _PLAIN = "\x1b[30;107m", "\x1b[0m"
_BLOCKS = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def png(text: str) -> bytes:
    """A picture whose modules are large enough for a camera that looks at a screen."""
    out = io.BytesIO()
    _code(text).save(out, kind="png", scale=8, border=4)
    return out.getvalue()


def lines(text: str, room: tuple[int, int] | None = None) -> list[str]:
    """Two rows of modules in each line, dark ones as foreground. Raises NoRoom where `room` (columns, lines) is too
    small; by default it is what the terminal has beside a prompt."""
    code = _code(text)
    size = shutil.get_terminal_size()
    columns, rows = room or (size.columns, size.lines - 1)
    for border in BORDERS:
        width = code.symbol_size(border=border)[0]
        if (room is None and not sys.stdout.isatty()) or (width <= columns and (width + 1) // 2 <= rows):
            return _drawn(code, border)
    need = code.symbol_size(border=BORDERS[-1])[0]
    raise NoRoom(
        f"the QR code needs {need} columns and {need // 2 + 2} lines, and this terminal has {size.columns} and "
        f"{size.lines}; make it larger, or write a picture or a file: --png FILE, --conf FILE"
    )


def coloured(drawn: list[str]) -> str:
    """For a terminal, whatever colours it has."""
    return "\n".join(f"{_BLACK_ON_WHITE}{line}{_PLAIN}" for line in drawn)


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="l", boost_error=False)


def _drawn(code: segno.QRCode, border: int) -> list[str]:
    rows = [tuple(row) for row in code.matrix_iter(border=border)]
    if len(rows) % 2:
        rows.append((0,) * len(rows[0]))
    return [
        "".join(_BLOCKS[int(bool(above)), int(bool(below))] for above, below in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
