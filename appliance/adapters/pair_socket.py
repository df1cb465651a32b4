"""Datagrams between the two supervisors, over the pair link: what arrives came through its WireGuard tunnel."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any


class PairSocket(asyncio.DatagramProtocol):
    """Sends to the partner, and hands each datagram of its own to `heard`; anything else is dropped."""

    def __init__(self, own: str, partner: str, port: int, heard: Callable[[dict[str, Any]], None]) -> None:
        self.own = own
        self.partner = partner
        self.port = port
        self.heard = heard
        self.transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """The address may not be there yet, or be gone for a moment: bound freely (IP_FREEBIND, ip(7))."""
        family = socket.AF_INET6 if ":" in self.own else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        level, option = (socket.IPPROTO_IPV6, 78) if family == socket.AF_INET6 else (socket.IPPROTO_IP, 15)
        bound.setsockopt(level, option, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((self.own, self.port))
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=bound)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[Any, ...]) -> None:
        if address[0] != self.partner:
            return
        try:
            message = json.loads(data)
        except ValueError:
            return
        if isinstance(message, dict):
            self.heard(message)

    def close(self) -> None:
        if self.transport:
            self.transport.close()
            self.transport = None

    def error_received(self, error: Exception) -> None:
        """The partner is away; that is told by its silence."""

    def send(self, message: dict[str, Any]) -> None:
        if self.transport:
            self.transport.sendto(json.dumps(message, separators=(",", ":")).encode(), (self.partner, self.port))
