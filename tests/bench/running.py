"""When a change runs: the kernel tells of the route to a peer's new network, which is set after firewall and peer."""

from __future__ import annotations

import socket
import struct
import time
from threading import Thread

from tests.bench.generator import inside
from tests.lab import Box

SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
RTNLGRP_IPV4_ROUTE = 7
RTM_NEWROUTE = 24
SECONDS = 30.0


class NewRoute:
    """Listens in the box's network from now on, until the first new IPv4 route."""

    def __init__(self, box: Box) -> None:
        with inside(box):
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, 0))
        self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_IPV4_ROUTE)
        self.socket.settimeout(SECONDS)
        self.came = 0.0
        self.thread = Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        with self.socket:
            while struct.unpack_from("=H", self.socket.recv(1 << 16), 4)[0] != RTM_NEWROUTE:
                pass
            self.came = time.monotonic()

    def seconds_since(self, started: float) -> float:
        self.thread.join(SECONDS)
        assert self.came, "no route came"
        return self.came - started
