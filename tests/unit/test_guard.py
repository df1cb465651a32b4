"""The guard itself: whatever touches the machine is refused, and what tests need is not."""

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guard import Forbidden, Guard

TOUCHES: dict[str, Callable[[], object]] = {
    "runs a program": lambda: subprocess.run(["true"], check=True),
    "runs a shell": lambda: os.system("true"),
    "forks": lambda: os.fork(),
    "signals": lambda: os.kill(os.getpid(), 0),
    "opens an internet socket": lambda: socket.socket(socket.AF_INET),
    "opens a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "speaks to a unix socket": lambda: socket.socket(socket.AF_UNIX).connect("/run/systemd/notify"),
    "asks the resolver": lambda: socket.getaddrinfo("localhost", 80),
    "writes a file": lambda: Path("/etc/guard-was-here").write_text("x"),
    "appends to a file": lambda: Path("/etc/hostname").open("a").close(),
    "opens for writing by flags": lambda: os.open("/etc/hostname", os.O_RDWR),
    "climbs out of tmp": lambda: Path("/tmp/pytest-of-root/../elsewhere").write_text("x"),
    "makes a directory": lambda: Path("/etc/guard").mkdir(),
    "removes a file": lambda: Path("/etc/hostname").unlink(),
    "renames a file": lambda: os.rename("/etc/hostname", "/etc/hostname.old"),
    "links a file": lambda: os.symlink("/etc/hostname", "/etc/guard"),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
def test_is_refused(touch: Callable[[], object], guard: Guard) -> None:
    with pytest.raises(Forbidden):
        touch()
    assert guard.violations
    guard.violations.clear()


def test_is_remembered_when_the_code_hides_it(guard: Guard) -> None:
    with contextlib.suppress(BaseException):  # what a careless caller does
        os.fork()
    assert guard.violations == ["starts a process (os.fork ())"]
    guard.violations.clear()


def test_own_directory_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    os.rename(tmp_path / "a" / "file", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "x"


def test_reading_is_free() -> None:
    assert Path("/etc/hosts").read_text()


def test_asyncio_runs() -> None:
    async def nothing() -> int:
        await asyncio.sleep(0)
        return 1

    assert asyncio.run(nothing()) == 1
