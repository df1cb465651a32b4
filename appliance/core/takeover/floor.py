"""The time below which no handshake may be started.

A peer refuses an initiation whose timestamp is not above the last one that it saw from either box (TAI64N, whitepaper
section 5.4.2). A box without a battery clock boots in the past. The floor on disk is written ahead of time, so that it
is written rarely; hence it is believed only by a clock that is not synchronised. What the partner tells is exact.
"""

from __future__ import annotations

from appliance.core.takeover.timers import Timers


class Floor:
    """All times in seconds since 1970, but for `now`, which is monotonic."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.stored = 0.0
        self.told = 0.0
        self.used = 0.0
        self.offset = 0.0
        self.trusted = False

    def clock(self, wall: float, trusted: bool, now: float) -> None:
        self.offset = wall - now
        self.trusted = trusted

    def wall(self, now: float) -> float:
        return now + self.offset

    @property
    def lowest(self) -> float:
        return max(self.told, self.used, 0.0 if self.trusted else self.stored)

    def behind(self, now: float) -> float:
        """Seconds by which the clock is below the floor, 0 when it is not."""
        return max(0.0, self.lowest - self.wall(now))

    def step(self, now: float) -> float | None:
        """What the clock is to be set to. A synchronised clock is never set: it is the other one that was wrong."""
        return self.lowest if self.behind(now) and not self.trusted else None

    def use(self, now: float) -> None:
        """Handshakes are being started at this time."""
        self.used = max(self.used, self.wall(now))

    def write(self, now: float) -> float | None:
        """What is to be written to disk, when it is time to."""
        if self.behind(now) and not self.trusted:
            return None
        latest = max(self.wall(now), self.told)
        if latest + self.timers.floor_lead <= self.stored:
            return None
        self.stored = latest + self.timers.floor_ahead
        return self.stored
