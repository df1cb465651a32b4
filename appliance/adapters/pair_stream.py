"""Requests from one supervisor of a pair to the other, over the pair link: a line of JSON in, a line out, over TCP.

What arrives came through the link's WireGuard tunnel from the partner's own address in it; no one else has that key.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.adapters.errors import Refused

log = logging.getLogger("appliance.pair")

MAXIMUM_BYTES = 16 << 20
SECONDS = 30.0
IP_FREEBIND = 15
IPV6_FREEBIND = 78

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class PairServer:
    """Answers the partner. `close` when the pair ends."""

    def __init__(self, own: str, partner: str, port: int, answer: Answer) -> None:
        self.own = own
        self.partner = partner
        self.port = port
        self.answer = answer
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        """The address may not be there yet (IP_FREEBIND, ip(7))."""
        listening = _bound(self.own, self.port)
        self.server = await asyncio.start_server(self._serve, sock=listening, limit=MAXIMUM_BYTES)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if writer.get_extra_info("peername")[0] != self.partner:
                return
            async with asyncio.timeout(SECONDS):
                line = await reader.readline()
            reply = await self.answer(json.loads(line))
            writer.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("a request of the other box was not understood: %s", error)
        except Exception:
            log.exception("a request of the other box failed")
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    def close(self) -> None:
        if self.server:
            self.server.close()
            self.server = None


async def ask(own: str, partner: str, port: int, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """One request to the partner; its answer. Raises Refused when it does not come in time."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(
                partner, port, local_addr=(own, 0), limit=MAXIMUM_BYTES
            )  # fmt: skip
            try:
                writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
                await writer.drain()
                return dict(json.loads(await reader.readline()))
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        raise Refused("the other box does not answer on the pair link") from None


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    level, option = (socket.IPPROTO_IPV6, IPV6_FREEBIND) if family == socket.AF_INET6 else (0, IP_FREEBIND)
    bound.setsockopt(level, option, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((address, port))
    return bound
