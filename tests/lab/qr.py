"""Reads a QR code that stands on a terminal in half blocks, as a camera would: by zbarimg(1)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_DARK = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
_SIZE = 4
"""Pixels of a module."""


def read_code(screen: Sequence[str]) -> str:
    """What the code says; `screen` are lines without colours, blocks dark on light, of which the code is a part."""
    found = [number for number, line in enumerate(screen) if set(line) & {"▀", "▄", "█"}]
    rows = screen[found[0] : found[-1] + 1]
    width = max(len(row) for row in rows)
    lines = [[_DARK[each][half] for each in row.ljust(width)] for row in rows for half in (0, 1)]
    light = [[0] * (width + 8)] * 4
    framed = [*light, *([0] * 4 + line + [0] * 4 for line in lines), *light]
    pixels = "\n".join(
        " ".join(str(1 - each) for each in line for _ in range(_SIZE)) for line in framed for _ in range(_SIZE)
    )
    with tempfile.NamedTemporaryFile("w", suffix=".pgm") as picture:
        picture.write(f"P2\n{len(framed[0]) * _SIZE} {len(framed) * _SIZE}\n1\n{pixels}\n")
        picture.flush()
        argv = ["zbarimg", "-q", "--raw", str(Path(picture.name))]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
