"""Names to addresses through systemd-resolved's varlink socket (io.systemd.Resolve.ResolveHostname).

Varlink is JSON ended by a NUL byte over a stream socket, so a lookup is an ordinary asyncio task: no thread, no
process, and one dead name holds up nothing but its own task.
"""

from __future__ import annotations

import asyncio
import json
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

SOCKET = "/run/systemd/resolve/io.systemd.Resolve"
SECONDS = 10.0
NO_SEARCH = 1 << 8
NO_CACHE = 1 << 12
"""SD_RESOLVED_NO_SEARCH and SD_RESOLVED_NO_CACHE, systemd's src/shared/resolved-def.h"""
NO_RECORD = "io.systemd.Resolve.NoSuchResourceRecord"
DNS_ERROR = "io.systemd.Resolve.DNSError"
NXDOMAIN = 3
"""RFC 1035 section 4.1.1."""


class Found(NamedTuple):
    """`answered`: a name server said what addresses the name has, or that it has none."""

    addresses: tuple[str, ...]
    answered: bool


async def resolve(name: str, fresh: bool = False, socket: str = SOCKET) -> tuple[str, ...]:
    """Every address of `name`, A and AAAA, as resolved orders them; empty when there is none or nobody answers.

    `fresh` asks the name servers even when the answer is still cached.
    """
    return (await look_up(name, fresh, socket)).addresses


async def look_up(name: str, fresh: bool = False, socket: str = SOCKET, seconds: float = SECONDS) -> Found:
    """The same, and whether a name server answered where there is none."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                flags = NO_SEARCH | (NO_CACHE if fresh else 0)
                call = {"method": "io.systemd.Resolve.ResolveHostname", "parameters": {"name": name, "flags": flags}}
                writer.write(json.dumps(call).encode() + b"\0")
                answer = json.loads((await reader.readuntil(b"\0"))[:-1])
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return Found((), False)
    parameters = answer.get("parameters", {})
    if error := answer.get("error"):
        return Found((), error == NO_RECORD or (error == DNS_ERROR and parameters.get("rcode") == NXDOMAIN))
    return Found(tuple(_text(bytes(entry["address"])) for entry in parameters.get("addresses", [])), True)


def _text(packed: bytes) -> str:
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))
