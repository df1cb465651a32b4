"""Hears what passes on every device of the box: a packet socket (packet(7)). It changes nothing."""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Iterator

ETH_P_ALL = 0x0003
IP_PROTOCOLS = (0x0800, 0x86DD)
PACKET_HOST, PACKET_OUTGOING = 0, 4
"""linux/if_packet.h: to this box, and from it; what is for others, or for all, does not matter here."""
SOL_PACKET, PACKET_AUXDATA, TAGGED = 263, 8, 1 << 4
"""linux/socket.h, linux/if_packet.h: TP_STATUS_VLAN_VALID, the first word of struct tpacket_auxdata."""
AUXDATA_BYTES = 64
HEAD_BYTES = 256
"""The longest that is looked at is a handshake of WireGuard in IPv6: 40 + 8 + 148 bytes."""
BUFFER_BYTES = 8 << 20
MOST_FRAMES = 200_000
"""A line at full speed is not listened to for longer than this takes; a few seconds of processor time."""


class PacketEar:
    """Raises PermissionError without CAP_NET_RAW."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.left = MOST_FRAMES

    def listen(self, until: float) -> Iterator[tuple[str, bool, bytes]]:
        """(device, whether this box sent it, the head of the IP packet) until that time of the monotonic clock."""
        while self.left and (wait := until - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], wait)[0]:
                return
            try:
                packet, said, _, (device, protocol, kind, *_) = self.socket.recvmsg(HEAD_BYTES, AUXDATA_BYTES)
            except OSError:
                continue  # a device went down
            self.left -= 1
            if any(int.from_bytes(data[:4], sys.byteorder) & TAGGED for *_, data in said):
                continue  # of a VLAN, whose own device is heard, too
            if protocol in IP_PROTOCOLS and kind in (PACKET_HOST, PACKET_OUTGOING) and device != "lo":
                yield device, kind == PACKET_OUTGOING, packet

    def close(self) -> None:
        self.socket.close()
