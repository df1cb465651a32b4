"""The control socket: one JSON line in, one JSON line out, a connection each.

Who may connect is decided by the socket's mode (root and the group `appliance`), and once more by the kernel's word on
who is at the other end (SO_PEERCRED, unix(7)).
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("appliance.control")

GROUP = "appliance"
CARRIERS = "appliance-carriers"
"""Processes that fetch bundles from strangers; they may hand one over, and no more."""
READERS = "appliance-readers"
"""Processes that show to others how the box is; they may ask for that, and for no more."""
FEW = ((CARRIERS, frozenset({"bundle"})), (READERS, frozenset({"status"})))
MAXIMUM_BYTES = 8 << 20
SECONDS = 30.0

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlSocket:
    """Hands each request to `answer` and writes back what it returns."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self.answer = answer
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self.server = await asyncio.start_unix_server(self._serve, self.path, limit=MAXIMUM_BYTES)
        finally:
            os.umask(before)
        with contextlib.suppress(KeyError):
            os.chown(self.path, 0, grp.getgrnam(GROUP).gr_gid)
            self.path.chmod(0o660)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reply: dict[str, Any] = {"error": f"only root and the group {GROUP} may do this; put sudo before it"}
            verbs = _verbs(writer.get_extra_info("socket"))
            if verbs is None or verbs:
                async with asyncio.timeout(SECONDS):
                    request = json.loads(await reader.readline())
                if verbs is None or request.get("verb") in verbs:
                    reply = await self.answer(request)
        except (ValueError, TimeoutError):
            reply = {"error": "the request was not understood; are command and supervisor of the same version?"}
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        except Exception:
            log.exception("a request failed")
            reply = {"error": "the supervisor met an error of its own; see `journalctl -u appliance`"}
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
            await writer.drain()
        writer.close()


def _verbs(connection: socket.socket) -> frozenset[str] | None:
    """What the other end may ask for; None is everything."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, group = struct.unpack("3i", credentials)
    if user == 0:
        return None
    for name, verbs in FEW:
        with contextlib.suppress(KeyError):
            if group == grp.getgrnam(name).gr_gid:
                return verbs
    with contextlib.suppress(KeyError):
        wanted = grp.getgrnam(GROUP)
        if group == wanted.gr_gid or pwd.getpwuid(user).pw_name in wanted.gr_mem:
            return None
    return frozenset()
