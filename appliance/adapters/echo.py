"""Questions to hosts: ping(8) and arping(8), each of which the box has anyway."""

from __future__ import annotations

import os
import re
import subprocess
from typing import NamedTuple

SECONDS = 5.0
_HEADERS = {4: 28, 6: 48}
"""Of IP and ICMP, in bytes."""
_TOO_LONG = re.compile(r"message too long|Frag needed|Packet too big", re.IGNORECASE)
_ARP_REPLY = re.compile(r"reply from \S+ \[([0-9A-Fa-f:]{17})\]")


class Echo(NamedTuple):
    """`told`: somebody said that the packet was too long for the way."""

    answered: bool
    told: bool


def ping(address: str, way: str = "", size: int = 0) -> Echo:
    """Whether one of two pings is answered within a second. `way` is the device or the address that they leave from;
    `size` in bytes that of the whole packet, which may not be fragmented then."""
    words = ["ping", "-n", "-c2", "-i0.2", "-W1"]
    if size:
        words += ["-Mdo", f"-s{size - _HEADERS[6 if ':' in address else 4]}"]
    if way:
        words += ["-I", way]
    said = _said([*words, address])
    return Echo(" bytes from " in said, bool(_TOO_LONG.search(said)))


def who_else_has(address: str, device: str) -> str:
    """The hardware address of another host that answers for this IPv4 address, "" where nobody does (RFC 5227)."""
    found = _ARP_REPLY.search(_said(["arping", "-D", "-c2", "-w2", "-I", device, address]))
    return found[1].lower() if found else ""


def _said(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
