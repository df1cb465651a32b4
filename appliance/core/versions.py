"""Versions of this software, in their order (Semantic Versioning 2.0.0, section 11, numbers only)."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def order(version: str) -> tuple[int, ...]:
    """What sorts as versions do; one that cannot be read (a file that names none) is older than any."""
    found = _NUMBERS.match(version)
    return tuple(int(number) for number in found.groups()) if found else ()
