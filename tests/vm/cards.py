"""Cards of emulated machines, each with its cable in a switch of a lab.

the machine ── virtio ── QEMU ── a tap, whose one end is QEMU's ── port of the switch (tests/lab/node.py)
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor

from tests.lab import Switch

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_TAP, _BARE, _OFFLOADS = 0x0002, 0x1000, 0x4000


class Card:
    """A network card in PCI slot `place`: Linux calls it enp0sPLACE. It has a cable while its machine has power."""

    def __init__(self, switch: Switch, owner: str, place: int) -> None:
        self.switch, self.owner, self.place = switch, owner, place
        self.end = -1
        """The file descriptor that QEMU takes over."""
        self.port = ""
        # The same in every run: captures can be compared.
        digest = hashlib.sha256(f"{owner} {place}".encode()).hexdigest()
        self.mac = "02:" + ":".join(digest[i : i + 2] for i in range(0, 10, 2))

    def plug(self) -> list[str]:
        """Makes the cable; returns QEMU's words for the card. QEMU must be handed `end`."""
        self.port = self.switch.next_port()
        # A thread, since a namespace is entered by one (setns(2)), and the test is to stay where it is.
        with ThreadPoolExecutor(1) as pool:
            self.end = pool.submit(self._tap).result()
        self.switch.take(self.port, f"{self.owner} {self.place}")
        name = f"card{self.place}"
        device = f"virtio-net-pci,netdev={name},addr={self.place:x},mac={self.mac}"
        return ["-netdev", f"tap,id={name},fd={self.end}", "-device", device]

    def _tap(self) -> int:
        with open(self.switch.netns) as namespace:
            os.setns(namespace.fileno(), os.CLONE_NEWNET)
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", self.port.encode(), _TAP | _BARE | _OFFLOADS))
        return end

    def unplug(self) -> None:
        """Pulls the cable; nothing that was on the way arrives any more."""
        if self.end >= 0:
            os.close(self.end)
        self.end = -1
