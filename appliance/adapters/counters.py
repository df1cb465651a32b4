"""Counters of links and disks, as the kernel keeps them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

NET = Path("/sys/class/net")


class Came(NamedTuple):
    """What came out of an interface, to this box or to be passed on."""

    packets: int
    octets: int


class Room(NamedTuple):
    """Of a file system: bytes free to root and in all, and how many files can be added."""

    free: int
    total: int
    files: int


def came(device: str) -> Came | None:
    """None where there is no such device."""
    folder = NET / device / "statistics"
    try:
        return Came(int((folder / "rx_packets").read_text()), int((folder / "rx_bytes").read_text()))
    except (OSError, ValueError):
        return None


def room(path: Path) -> Room | None:
    """None where nothing is mounted there. File systems without a fixed number of files (btrfs) count none."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return Room(found.f_bfree * found.f_frsize, found.f_blocks * found.f_frsize, found.f_ffree if found.f_files else 1)
