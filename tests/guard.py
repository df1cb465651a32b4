"""Keeps unit tests off the machine: no processes, no network, no files outside their own directory.

Python reports such acts to audit hooks before they happen (PEP 578). A hook cannot be taken away again, so there is
one for the whole run, and it looks away while no unit test is running. What it forbids is also remembered, and the
test fails at its end even if the code under test swallowed the exception.
"""

import os
import sys
import tempfile
from pathlib import Path

FORBIDDEN = {
    "subprocess.Popen": "starts a process",
    "os.system": "starts a process",
    "os.exec": "starts a process",
    "os.spawn": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.kill": "sends a signal",
    "os.killpg": "sends a signal",
    "socket.connect": "speaks to a socket",
    "socket.bind": "binds a socket",
    "socket.sendto": "speaks to a socket",
    "socket.sendmsg": "speaks to a socket",
    "socket.getaddrinfo": "asks the resolver",
    "socket.gethostbyname": "asks the resolver",
    "socket.gethostbyaddr": "asks the resolver",
    "socket.sethostname": "changes the host name",
}

# Event: which of its arguments are paths that it changes.
CHANGES = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (1,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.removexattr": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.setxattr": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}

# Where tests may write: pytest's own directories for tmp_path, and what tools keep in build/ (compiled Python,
# hypothesis's examples).
WRITABLE = (
    os.path.join(tempfile.gettempdir(), "pytest-of-"),
    str(Path(__file__).parents[1] / "build") + os.sep,
    "/dev/null",
)


class Forbidden(AssertionError):
    """A unit test touched the machine."""


class Guard:
    def __init__(self) -> None:
        self.active = False
        self.violations: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if not self.active:
            return
        if event in FORBIDDEN:
            self._refuse(f"{FORBIDDEN[event]} ({event} {args[:1]!r:.80})")
        elif event == "open":
            path, mode, flags = args
            # Text mode is None when the file is opened by flags (os.open).
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes or (isinstance(mode, str) and set(mode) & set("wax+")):
                self._path(path)
        elif event in CHANGES:
            for index in CHANGES[event]:
                self._path(args[index])
        elif event == "socket.__new__":
            # asyncio wakes itself over an AF_UNIX pair; everything else leads out of the process.
            if args[1] != 1:
                self._refuse(f"opens a socket of family {args[1]}")
        elif event == "ctypes.dlopen" and args[0] is not None:
            self._refuse(f"loads the library {args[0]}")

    def _path(self, path: object) -> None:
        if isinstance(path, int):
            return  # a descriptor: whatever opened it was asked then
        text = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]
        if not text.startswith(WRITABLE):
            self._refuse(f"writes {text}")

    def _refuse(self, what: str) -> None:
        self.violations.append(what)
        raise Forbidden(f"a unit test must not touch the machine, but this one {what}")
