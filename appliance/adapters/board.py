"""What the kernel tells of the board that it runs on, and which modules belong to it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

SYS = Path("/sys")
MODULES = Path("/lib/modules")
_LISTS = ("modules.dep", "modules.builtin")


def texts(patterns: Iterable[str]) -> dict[str, str]:
    """The one-line files below /sys that the patterns find, by their path there; without those that cannot be read,
    as a sensor that is asleep."""
    found = {}
    for pattern in patterns:
        for path in sorted(SYS.glob(pattern)):
            try:
                found[str(path.relative_to(SYS))] = path.read_text(errors="replace").strip()
            except OSError:
                continue
    return found


def module(name: str) -> str:
    """The file of a module that belongs to the kernel that runs (modules.dep(5)), "" where none does."""
    for each in _LISTS:
        try:
            lines = (MODULES / os.uname().release / each).read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            file = line.partition(":")[0]
            if Path(file).name.partition(".")[0] == name:
                return file
    return ""
