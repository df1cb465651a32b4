"""Listens on the networks of a pair for somebody else who uses its VRRP router ID."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from appliance.adapters.vrrp_ear import VrrpEar
from appliance.core.state import Desired

type Place = tuple[str, int, int, tuple[str, ...]]
"""Device, its number (a card that was drawn and put back has another one), router ID, and whom not to mind."""


class Strangers:
    """Calls `heard` with the network's name, the stranger's address and the router ID."""

    def __init__(self, heard: Callable[[str, str, int], None]) -> None:
        self.heard = heard
        self.names: dict[str, str] = {}
        self.ears: dict[Place, VrrpEar] = {}

    def follow(self, desired: Desired) -> None:
        """Where to listen now; harmless to repeat."""
        pair = desired.pair
        self.names = {link.device: link.name for link in desired.links}
        known: dict[str, tuple[str, ...]] = {}
        for one in pair.hearing if pair else ():
            known[one.device] = (*known.get(one.device, ()), *one.addresses)
        wanted: set[Place] = set()
        for device, addresses in known.items():
            with contextlib.suppress(OSError):
                wanted.add((device, socket.if_nametoindex(device), pair.router_id if pair else 0, addresses))
        for place in self.ears.keys() - wanted:
            self.ears.pop(place).close()
        for place in wanted - self.ears.keys():
            with contextlib.suppress(OSError):
                self.ears[place] = VrrpEar(place[0], place[2], place[3], self._heard)

    def _heard(self, device: str, source: str, router_id: int) -> None:
        self.heard(self.names.get(device, device), source, router_id)

    def close(self) -> None:
        while self.ears:
            self.ears.popitem()[1].close()
