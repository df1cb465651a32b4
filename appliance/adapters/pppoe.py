"""PPPoE itself (RFC 2516), beside pppd: the kernel's list of sessions, and the one frame that ends a dead one."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from appliance.core.state import OpenSession

SESSIONS = Path("/proc/net/pppoe")
ETH_P_PPP_DISC = 0x8863
_PADT = struct.pack(">BB", 0x11, 0xA7)
"""Version and type 1, and the code: a session is terminated (RFC 2516 sections 4 and 5.5)."""


def open_sessions() -> tuple[OpenSession, ...]:
    """The sessions of this box; none where the kernel has no PPPoE, or has not loaded it yet."""
    try:
        lines = SESSIONS.read_text().splitlines()[1:]
    except OSError:
        return ()
    return tuple(_session(*line.split()) for line in lines if len(line.split()) == 3)


def _session(number: str, provider: str, device: str) -> OpenSession:
    """The kernel prints the number as this machine's processor reads it off the wire (pppoe.c, pppoe_seq_show)."""
    return OpenSession(device, socket.ntohs(int(number, 16)), provider)


def terminate(device: str, provider: str, number: int) -> None:
    """Tells the provider, from the device's hardware address, that the session has ended.

    Raises OSError, where the device is down, and ValueError, where the address is none.
    """
    target = bytes.fromhex(provider.replace(":", ""))
    frame = _PADT + struct.pack(">HH", number & 0xFFFF, 0)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sender:
        sender.sendto(frame, (device, ETH_P_PPP_DISC, 0, 0, target))
