"""Many rtnetlink requests in one system call, each with its own answer.

A round trip a request costs seconds for a thousand routes; back to back they take what the kernel takes.
Message layout: netlink(7), struct nlmsghdr; everything in the machine's byte order.
"""

from __future__ import annotations

import socket
import struct

_HEADER = struct.Struct("=IHHII")
NLMSG_ERROR = 2
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
SECONDS = 5.0


def send(data: bytes, count: int) -> list[int]:
    """Sends the `count` concatenated requests in `data`; returns the errno of each, 0 for done.

    Raises OSError when the kernel does not answer within SECONDS.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as raw:
        raw.settimeout(SECONDS)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        raw.bind((0, 0))
        raw.send(_numbered(data))
        return _answers(raw, count)


def _numbered(data: bytes) -> bytes:
    """The same requests, each asking for an answer and carrying its position as sequence number."""
    out = bytearray(data)
    offset = number = 0
    while offset < len(out):
        length, kind, flags, _, port = _HEADER.unpack_from(out, offset)
        _HEADER.pack_into(out, offset, length, kind, flags | NLM_F_REQUEST | NLM_F_ACK, number, port)
        number += 1
        offset += (length + 3) & ~3
    return bytes(out)


def _answers(raw: socket.socket, count: int) -> list[int]:
    codes = [0] * count
    missing = count
    while missing:
        data = raw.recv(1 << 16)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _, number, _ = _HEADER.unpack_from(data, offset)
            if kind == NLMSG_ERROR:
                codes[number] = -struct.unpack_from("=i", data, offset + _HEADER.size)[0]
                missing -= 1
            offset += max((length + 3) & ~3, _HEADER.size)
    return codes
