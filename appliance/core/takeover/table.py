"""Where each peer is and when it was last active: written by the master, followed by the standby.

The master stamps each change with (epoch, count). The standby says how far it has come; whatever is newer is sent again
until it says so, in the order of the stamps, so that a cut-off or lost hello does no harm. A new master stamps
everything anew: it may know less than the last one did, and what it knows is what counts from now on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from appliance.core.takeover.events import Reading
from appliance.core.takeover.hello import NEVER, Entry, Hello, Stamp
from appliance.core.takeover.timers import Timers

LONG_AGO = float("-inf")


@dataclass(slots=True)
class Known:
    """`active` is on this box's monotonic clock; `told` is the value that the stamp stands for."""

    endpoint: str
    active: float
    told: float
    stamp: Stamp


class Table:
    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.known: dict[str, Known] = {}
        self.readings: dict[str, Reading] = {}
        self.version: Stamp = NEVER

    # -- the master's side --------------------------------------------------------------------------------------------

    def restamp(self, epoch: int, names: Collection[str]) -> None:
        """This box is the master of `epoch` now; what it knows of others than `names` is forgotten."""
        self.known = {name: known for name, known in self.known.items() if name in names}
        self.version = (epoch, 0)
        for known in self.known.values():
            known.stamp = self._next()

    def read(self, readings: Mapping[str, Reading], now: float, wall: float, began: float | None) -> list[str]:
        """Takes a reading of the engines; returns the peers that had a new handshake since the last one.

        `began` is when this box became master, in seconds since 1970; None when it is not, and what it reads is no
        news for the partner.
        """
        fresh = []
        for name, reading in readings.items():
            before = self.readings.get(name)
            self.readings[name] = reading
            shaken = _shaken(before, reading, began)
            if shaken:
                fresh.append(name)
            if began is None or not reading.endpoint:
                continue
            if before is None:
                active = _by_handshake(reading, now, wall)
            else:
                active = now if shaken or reading.received > before.received else LONG_AGO
            self._note(name, reading.endpoint, active)
        return fresh

    def note_all(self, now: float, wall: float) -> None:
        """Writes down what was read before this box wrote."""
        for name, reading in self.readings.items():
            if reading.endpoint:
                self._note(name, reading.endpoint, _by_handshake(reading, now, wall))

    def with_session(self, wall: float) -> set[str]:
        """Peers whose last handshake is young enough for a session (REJECT_AFTER_TIME)."""
        return {name for name, each in self.readings.items() if wall - each.last_handshake < self.timers.lately}

    def shaken(self, name: str, now: float) -> None:
        """A handshake was told of instead of read."""
        if known := self.known.get(name):
            self._note(name, known.endpoint, now)

    def _note(self, name: str, endpoint: str, active: float) -> None:
        known = self.known.get(name)
        if known is None:
            self.known[name] = Known(endpoint, active, active, self._next())
            return
        known.active = max(known.active, active)
        # An age that nobody would call lately is not worth telling again.
        if known.endpoint != endpoint or known.active - known.told >= self.timers.restamp:
            known.endpoint, known.told, known.stamp = endpoint, known.active, self._next()

    def _next(self) -> Stamp:
        self.version = (self.version[0], self.version[1] + 1)
        return self.version

    def remember(self, endpoints: Mapping[str, str], now: float) -> None:
        """What stood on this box's disk at boot: better than nothing, and less than whatever anybody tells."""
        for name, endpoint in endpoints.items():
            self.known.setdefault(name, Known(endpoint, now, now, NEVER))

    # -- between the boxes --------------------------------------------------------------------------------------------

    def newer(self, since: Stamp, now: float) -> tuple[tuple[Entry, ...], Stamp]:
        """What changed after `since`, at most one chunk of it, and how far that goes."""
        if self.version <= since:
            return (), since
        later = sorted((known.stamp, name) for name, known in self.known.items() if known.stamp > since)
        sent = later[: self.timers.chunk]
        entries = tuple(
            # JSON has no infinity, and a day is as good as never.
            Entry(name, self.known[name].endpoint, min(round(now - self.known[name].active, 3), 86400.0), stamp)
            for stamp, name in sent
        )
        return entries, self.version if len(sent) == len(later) else sent[-1][0]

    def take(self, hello: Hello, now: float) -> dict[str, str]:
        """Takes the partner's news; returns the endpoints that are others than before."""
        if hello.since > self.version or hello.until <= self.version:
            return {}
        changed = {}
        for entry in hello.entries:
            known = self.known.get(entry.peer)
            if known is not None and known.stamp >= entry.stamp:
                continue
            if known is None or known.endpoint != entry.endpoint:
                changed[entry.peer] = entry.endpoint
            active = now - max(0.0, entry.age)
            self.known[entry.peer] = Known(entry.endpoint, active, active, entry.stamp)
        self.version = hello.until
        return changed

    # -- for the takeover ---------------------------------------------------------------------------------------------

    def lately(self, names: Collection[str], now: float) -> list[str]:
        """The peers that were active lately, the last active first."""
        limit = now - self.timers.lately
        found = [name for name in names if (known := self.known.get(name)) and known.active >= limit]
        return sorted(found, key=lambda name: (-self.known[name].active, name))

    def endpoints(self, names: Collection[str]) -> dict[str, str]:
        return {name: known.endpoint for name, known in self.known.items() if name in names}


def _by_handshake(reading: Reading, now: float, wall: float) -> float:
    """When a peer was active at the latest, for all that one reading says."""
    return now - max(0.0, wall - reading.last_handshake) if reading.last_handshake else LONG_AGO


def _shaken(before: Reading | None, reading: Reading, began: float | None) -> bool:
    """A peer that was removed and added again has no handshake; another time than before is a new one."""
    if before is None:
        return began is not None and reading.last_handshake > began
    return reading.last_handshake not in (0.0, before.last_handshake)
