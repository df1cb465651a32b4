"""How routes look on an rtnetlink socket (netlink(7), rtnetlink(7)); every number in the machine's byte order."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTN_UNICAST, RTN_BLACKHOLE = 1, 6
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_NOWHERE = 0, 253, 255
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_METRICS, RTA_TABLE = 1, 4, 5, 6, 8, 15
RTAX_MTU = 2
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_CREATE = 0x1, 0x4, 0x300, 0x100, 0x400
SECONDS = 5.0

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
RTMSG = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, destination and source length, tos, table, protocol, scope, type, flags."""
U32 = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")


def opened() -> socket.socket:
    """A socket that waits for the kernel's answers SECONDS at most."""
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    found.settimeout(SECONDS)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    found.bind((0, 0))
    return found


def message(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags, number, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The messages in what was received: type, sequence number, where the body starts and where it ends."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, _, number, _ = HEADER.unpack_from(data, offset)
        yield kind, number, offset + HEADER.size, offset + length
        offset += max((length + 3) & ~3, HEADER.size)


def error(data: bytes, start: int) -> int:
    """The errno in an NLMSG_ERROR, 0 for done."""
    return -int(struct.unpack_from("=i", data, start)[0])


def attribute(name: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, name) + value + bytes(-length % 4)


def attributes(data: bytes, offset: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The attributes of a message: number, where the value starts and where it ends."""
    while offset + _ATTRIBUTE.size <= end:
        length, name = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield name & 0x3FFF, offset + _ATTRIBUTE.size, offset + length
        offset += (length + 3) & ~3
