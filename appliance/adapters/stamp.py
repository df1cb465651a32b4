"""Asks a host whether a network is its own: a ping with the IP option Timestamp for a given address (RFC 791, section
3.1). Who has that address stamps it; Linux does so for the broadcast address of a network that it stands in, too
(net/ipv4/ip_options.c). The packet goes and is read past this box's own IP, which would stamp it as well.
"""

from __future__ import annotations

import os
import select
import socket
import time

SECONDS = 1.0
ETH_P_IP = 0x0800
_OPTION, _LENGTH, _FIRST, _FULL, _GIVEN_ADDRESS = 68, 12, 5, 13, 3
"""One address of four bytes, its stamp of four; the third byte says where the next stamp goes."""


def stands_in(host: str, broadcast: str, source: str, device: str) -> bool:
    """Whether the host says that it stands in the network with this IPv4 broadcast address. Raises PermissionError
    without CAP_NET_RAW; silence, and a host that knows no such option, count as no."""
    number = os.urandom(2)
    option = bytes([_OPTION, _LENGTH, _FIRST, _GIVEN_ADDRESS]) + socket.inet_aton(broadcast) + bytes(4)
    echo = b"\x08\0\0\0" + number + b"\0\1"
    echo = echo[:2] + _checksum(echo) + echo[4:]
    # Version 4, a header of eight words; the kernel fills in length and checksum (raw(7)).
    head = bytes([0x48, 0, 0, 0]) + bytes(4) + bytes([64, socket.IPPROTO_ICMP, 0, 0])
    packet = head + socket.inet_aton(source) + socket.inet_aton(host) + option + echo
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(ETH_P_IP)) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as mouth,
    ):
        try:
            ear.bind((device, ETH_P_IP))
            mouth.sendto(packet, (host, 0))
        except PermissionError:
            raise
        except OSError:
            return False
        end = time.monotonic() + SECONDS
        while (wait := end - time.monotonic()) > 0 and select.select([ear], [], [], wait)[0]:
            answer = ear.recv(256)
            header = (answer[0] & 0xF) * 4 if answer else 0
            content = answer[header:]
            if answer[12:16] == socket.inet_aton(host) and content[:1] == b"\0" and content[4:6] == number:
                return header >= 32 and answer[20] == _OPTION and answer[22] >= _FULL
    return False


def _checksum(data: bytes) -> bytes:
    """RFC 1071, of an even number of bytes."""
    total = sum(int.from_bytes(data[place : place + 2]) for place in range(0, len(data), 2))
    total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2)
