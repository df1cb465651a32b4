"""Who calls, from where, and since when: read from the processes above this one (proc_pid_stat(5))."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SSHD = ("sshd", "sshd-session", "sshd-auth")


class _Process(NamedTuple):
    pid: int
    parent: int
    leader: int
    """The session's first process (setsid(2)); 0: it is not visible here."""
    name: str
    started: float
    """Seconds since the machine started (CLOCK_BOOTTIME)."""


def caller() -> str:
    """The person's login name, also where sudo stands between."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def opened() -> float:
    """When this session began, in seconds since the machine started.

    Over ssh that is when the connection was made: a second shell in an old connection shows nothing new.
    """
    line = list(_line())
    leaders = {process.leader for process in line}
    firsts = [process.started for process in line if process.pid in leaders]
    connection = [process.started for process in line if process.name in _SSHD and process.parent != 1]
    # A process that was put here from outside has no visible leader; then the oldest of its line counts.
    return min([*connection, max(firsts, default=line[-1].started)])


def administrator() -> tuple[str, int] | None:
    """The address from which he is connected by ssh, and the port on which; None on a console."""
    for process in _line():
        try:
            variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            name, _, value = variable.partition(b"=")
            words = value.decode(errors="replace").split()
            if name == b"SSH_CONNECTION" and len(words) == 4 and words[3].isdigit():
                return words[0], int(words[3])
    return None


def _line() -> Iterator[_Process]:
    """This process, its parent, and so on, without the system's first."""
    pid = os.getpid()
    while pid > 1:
        process = _process(pid)
        if process is None:
            return
        yield process
        pid = process.parent


def _process(pid: int) -> _Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name stands in brackets and may hold anything.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    seconds = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return _Process(pid, int(fields[1]), int(fields[3]), head.partition("(")[2], seconds)
