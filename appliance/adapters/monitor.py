"""Tells that something changed in the kernel's network state: one callback, no details.

Details would have to be read again anyway: notifications can be lost (netlink(7), ENOBUFS), observations cannot.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1

# include/uapi/linux/rtnetlink.h, enum rtnetlink_groups
_RTNETLINK_GROUPS = {
    "link": 1,
    "ipv4 address": 5,
    "ipv4 route": 7,
    "ipv4 rule": 8,
    "ipv6 address": 9,
    "ipv6 route": 11,
    "ipv6 rule": 19,
    "ipv4 netconf": 24,
    "ipv6 netconf": 25,
}
NFNLGRP_NFTABLES = 7
"""include/uapi/linux/netfilter/nfnetlink.h"""


class Monitor:
    """Calls `changed` from the running event loop whenever the kernel announces a change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.sockets = [
            _subscribed(NETLINK_ROUTE, list(_RTNETLINK_GROUPS.values())),
            _subscribed(NETLINK_NETFILTER, [NFNLGRP_NFTABLES]),
        ]

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self.sockets:
            loop.add_reader(each.fileno(), self._readable, each)

    def _readable(self, source: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    source.recv(1 << 16)
                except BlockingIOError:
                    raise
                except OSError:
                    break  # ENOBUFS: some were lost, which is a change as well
        self.changed()


def _subscribed(protocol: int, groups: list[int]) -> socket.socket:
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    found.bind((0, 0))
    for group in groups:
        found.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    return found
