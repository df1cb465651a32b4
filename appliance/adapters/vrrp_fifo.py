"""What keepalived says: its notify FIFO, its process, and the file that it tracks (keepalived.conf(5))."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path


class VrrpFifo:
    """Reads whole lines. Opened for writing as well, so that keepalived's end closing is no end of file for us."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rest = b""
        if not path.exists() or not stat.S_ISFIFO(path.stat().st_mode):
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
        self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.descriptor)
        os.close(self.descriptor)

    def lines(self) -> list[str]:
        """What came since the last call."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, 1 << 16):
                self.rest += data
        *whole, self.rest = self.rest.split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def watch_process(pid: int, ended: Callable[[], None]) -> int:
    """Calls `ended` from the running loop when the process is gone (pidfd_open(2)); returns the descriptor."""
    descriptor = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()

    def readable() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        ended()

    loop.add_reader(descriptor, readable)
    return descriptor
