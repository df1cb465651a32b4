"""USB sticks: what the setup reads from them, and writes onto one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.adapters.errors import Refused

LONGEST_KEY = 20_000
WRITABLE = ("vfat", "exfat")
"""What sticks come with; on another file system the files would belong to this box's root."""
PATIENCE_SECONDS = 5.0
"""appliance-bundle-stick@.service looks at one that was just plugged in, and it cannot be written meanwhile."""


def keys_on_sticks() -> dict[str, str]:
    """The public keys (*.pub, one line each) in the top folders of all sticks, by the file's name."""
    found: dict[str, str] = {}
    for device, _ in _plugged_in():
        with _mounted(device, "ro") as folder:
            found |= _keys_in(folder)
    return found


@contextmanager
def writable_stick() -> Iterator[Path]:
    """The top folder of the first stick that takes files. Only root comes to it. Raises Refused where there is none."""
    end = time.monotonic() + PATIENCE_SECONDS
    while devices := [device for device, kind in _plugged_in() if kind in WRITABLE]:
        for device in devices:
            with _mounted(device, "rw") as folder:
                if folder and os.access(folder, os.W_OK):
                    yield folder
                    return
        if time.monotonic() > end:
            break
        time.sleep(0.5)
    raise Refused("no stick that takes files is found; put one in")


def sticks(listed: Any) -> list[tuple[str, str]]:
    """(device, file system) on USB disks, as lsblk(8) lists them; of none that is in use, as the box's own may."""
    found = []
    for disk in listed.get("blockdevices", []):
        parts = [disk, *disk.get("children", [])]
        used = any(any(part.get("mountpoints") or ()) for part in parts)
        if disk.get("tran") == "usb" and not used:
            found += [(str(part["name"]), str(part["fstype"])) for part in parts if part.get("fstype")]
    return found


def _plugged_in() -> list[tuple[str, str]]:
    try:
        done = subprocess.run(
            ["lsblk", "--json", "--paths", "--output", "NAME,TRAN,FSTYPE,MOUNTPOINTS"],
            capture_output=True, text=True, timeout=15, check=True,
        )  # fmt: skip
        return sticks(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def _keys_in(folder: Path | None) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("*.pub")) if folder else ():
        with contextlib.suppress(OSError, ValueError):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < LONGEST_KEY:
                found[path.name] = path.read_text().strip()
    return found


@contextmanager
def _mounted(device: str, how: str) -> Iterator[Path | None]:
    """None where it cannot be mounted."""
    # A stick's own top folder is open to all (vfat knows no modes); the one above it is not.
    above = Path(tempfile.mkdtemp(prefix="appliance-stick-"))
    folder = above / "stick"
    folder.mkdir()
    try:
        mounted = _done("mount", "-o", f"{how},nosuid,nodev,noexec,nosymfollow", device, str(folder))
        try:
            yield folder if mounted else None
        finally:
            if mounted and not _done("umount", str(folder)):
                _done("umount", "--lazy", str(folder))
    finally:
        # Never more than the folders: what is still mounted there is somebody's.
        with contextlib.suppress(OSError):
            folder.rmdir()
            above.rmdir()


def _done(*command: str) -> bool:
    try:
        return not subprocess.run(command, capture_output=True, timeout=15).returncode
    except (OSError, subprocess.SubprocessError):
        return False
