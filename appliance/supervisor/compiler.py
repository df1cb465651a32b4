"""Has bytes compiled by a process of its own (appliance/compile.py), so that the parsers' memory and risks are its own.

What the confirmed file compiled to is kept beside it: a supervisor that starts again, and a box that boots, need not
read it anew (0.25 s on a PC, seconds on a small board). The copy counts only for the same bytes, the same box and the
same code, and only if it is whole; otherwise it is made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import typing
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.core.codec import from_json, to_json
from appliance.core.problems import ConfigurationError, Mark, Problem
from appliance.core.state import Desired

SECONDS = 30.0
SO_SNDBUFFORCE = 32
"""Beyond the system's limit, with CAP_NET_ADMIN (socket(7))."""
ENVIRONMENT = {"PATH": "/usr/bin", "LC_ALL": "C.UTF-8", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""The process needs nothing of ours, and looking for plugins takes a twentieth of its start."""
BUFFER_BYTES = 4 << 20
"""A request and an answer fit: nobody waits for the other to read while there is something to do."""
PART_BYTES = 1 << 20


_FIELDS: dict[str, Any] = typing.get_type_hints(Desired)


class Compiler:
    """The prepared process, and the conversations with its copies. It is started when it is first needed, and kept."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.requests: socket.socket | None = None

    def prepare(self) -> None:
        """Starts the process where it does not run; it gets ready by itself."""
        if self.process and self.process.poll() is None:
            return
        self.stop()
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-m", "appliance.compile"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Kills the process with all its copies."""
        if self.requests:
            self.requests.close()
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = self.requests = None

    async def compile(self, content: bytes, box: str | None, sound: Callable[[], None]) -> Desired:
        """What the box should be. Raises ConfigurationError with every problem, Refused when nobody can be asked.
        `sound` is called as soon as it is known that there is none."""
        ours = self._asked()
        answer: dict[str, Any] = {}
        try:
            async with asyncio.timeout(SECONDS):
                async for line in _conversation(ours, json.dumps({"box": box}).encode() + b"\n" + content):
                    if line:
                        answer.update(_decoded(json.loads(line)))
                    else:
                        sound()
        except TimeoutError:
            self.stop()
            raise ConfigurationError([Problem((), "reading the file took too long; is it a configuration?")]) from None
        except (ConnectionError, ValueError):
            answer.clear()
        finally:
            ours.close()
        if "problems" in answer:
            raise ConfigurationError([_problem(each) for each in answer["problems"]])
        if answer.keys() != {each.name for each in fields(Desired)}:
            raise ConfigurationError([Problem((), "the file cannot be read: its reader ended over it")])
        return Desired(**answer)

    def _asked(self) -> socket.socket:
        """Our end of a conversation with a new copy."""
        try:
            self.prepare()
            assert self.requests
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with theirs:
                ours.setblocking(False)
                for each in (ours, theirs):
                    each.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES)
                socket.send_fds(self.requests, [b"?"], [theirs.fileno()])
        except OSError as error:
            raise Refused(f"the configuration cannot be compiled now: {error.strerror}") from None
        return ours


async def _conversation(ours: socket.socket, request: bytes) -> AsyncIterator[bytes]:
    """Says the request; the lines of the answer as they come."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(ours, request)
    ours.shutdown(socket.SHUT_WR)
    rest = b""
    while part := await loop.sock_recv(ours, PART_BYTES):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line


def _decoded(answer: dict[str, Any]) -> dict[str, Any]:
    """One field of Desired; or the problems, as they are."""
    return {name: from_json(_FIELDS[name], value) if name in _FIELDS else value for name, value in answer.items()}


def _problem(data: dict[str, object]) -> Problem:
    mark = data["mark"]
    assert isinstance(mark, dict)
    path = data["path"]
    assert isinstance(path, list)
    return Problem(tuple(path), str(data["message"]), Mark(mark["line"], mark["column"]))


def keep(path: Path, content: bytes, box: str | None, desired: Desired) -> None:
    """Keeps what `content` compiled to. Raises Refused when the disk does not take it."""
    text = json.dumps(to_json(desired), separators=(",", ":"))
    head = json.dumps({"key": _key(content, box), "sha256": hashlib.sha256(text.encode()).hexdigest()})
    write_whole(path, f"{head}\n{text}\n".encode(), 0o600)


def kept(path: Path, content: bytes, box: str | None) -> Desired | None:
    """What was kept for exactly these bytes, this box and this code; None when it must be compiled."""
    try:
        with path.open("rb") as file:
            named = json.loads(file.readline())
            # What follows is long, and mostly it is of another file.
            if named["key"] != _key(content, box):
                return None
            text = file.read()
        if not text.endswith(b"\n") or named["sha256"] != hashlib.sha256(text[:-1]).hexdigest():
            return None
        return from_json(Desired, json.loads(text))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(content: bytes, box: str | None) -> str:
    """Names the bytes, the box, and every line of code that has a say in what they become."""
    return hashlib.sha256(content + f"\0{box}\0{_code()}".encode()).hexdigest()


@functools.cache
def _code() -> str:
    """This code, as it was when this process first asked."""
    digest = hashlib.sha256(sys.version.encode())
    package = Path(__file__).parents[1]
    for path in [package / "compile.py", *sorted((package / "core").rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
