"""The time below which no handshake may be started.

A peer refuses an initiation whose timestamp is not above the last one that it saw from either box (TAI64N, whitepaper
section 5.4.2). A box without a battery clock boots in the past. The floor on disk is written ahead of time, so that it
is written rarely. It is exact to that many minutes only, so it counts for a clock that is not synchronised, has no
partner who knows better, and was behind the time of writing when the box started: a battery clock is not. A clock set
too far ahead locks the box out just as well, once it is set back; what is on disk then goes back with it, or the next
boot would set the clock ahead again.
"""

from __future__ import annotations

from appliance.core.takeover.timers import Timers

AHEAD = 0.1
"""Seconds above the floor to which a clock is set, so that a few milliseconds of drift do not set it again."""


class Floor:
    """All times in seconds since 1970, but for `now`, which is monotonic."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.found = 0.0
        """On disk when the box started; 0 when its clock was above what the floor was written from."""
        self.stored = 0.0
        """On disk now."""
        self.told = 0.0
        self.used = 0.0
        self.offset = 0.0
        self.trusted = False
        self.stuck = False
        """The clock cannot be set: to wait for it would be for ever."""

    def start(self, found: float, wall: float, trusted: bool, now: float) -> None:
        """`found`: the floor on disk when the box started, 0 for none."""
        self.stored = found
        self.found = found if wall < found - self.timers.floor_ahead else 0.0
        self.clock(wall, trusted, now)

    def clock(self, wall: float, trusted: bool, now: float) -> None:
        self.offset = wall - now
        self.trusted = trusted

    def wall(self, now: float) -> float:
        return now + self.offset

    def tell(self, floor: float, clock: float) -> None:
        """What the partner says: the floor that it knows, and its clock where that is synchronised (otherwise 0).

        What is later than a synchronised clock came from one that was wrong.
        """
        self.told = max(self.told, floor, 0.0 if self.trusted else clock)
        if clock:
            self.told = min(self.told, clock)

    @property
    def known(self) -> float:
        """Exact, so the partner may be told. What is on disk is not: two boxes would drive each other ahead with it."""
        return max(self.told, self.used)

    @property
    def lowest(self) -> float:
        vague = not self.trusted and self.known < self.found - self.timers.floor_ahead
        return max(self.known, self.found) if vague else self.known

    def behind(self, now: float) -> float:
        """Seconds by which the clock is below the floor, 0 when it is not."""
        return max(0.0, self.lowest - self.wall(now))

    def step(self, now: float) -> float | None:
        """What the clock is to be set to. A synchronised clock is never set: it is the other one that was wrong."""
        return self.lowest + AHEAD if self.behind(now) and not self.trusted and not self.stuck else None

    def sentence(self, now: float) -> str:
        """What is wrong with the clock, in words; "" when nothing is."""
        late = self.behind(now)
        if late <= 1.0:
            return ""
        if self.trusted:
            return (
                "handshakes were started in the future of this box's clock, which is right now; peers may refuse to be "
                f"called for another {_minutes(late)}, and can call themselves"
            )
        if self.stuck:
            return (
                f"the clock is {_minutes(late)} behind the last handshakes and cannot be set; peers may refuse "
                "handshakes until it is right: see that chrony reaches a time server"
            )
        return ""

    def use(self, now: float) -> None:
        """Handshakes are being started at this time."""
        self.used = max(self.used, self.wall(now))

    def write(self, now: float) -> float | None:
        """What is to be written to disk, when it is time to."""
        if self.behind(now) and not self.trusted:
            return None
        latest = self.wall(now) if self.trusted else max(self.wall(now), self.told)
        too_far = self.trusted and self.stored > latest + self.timers.floor_ahead + self.timers.floor_lead
        if latest + self.timers.floor_lead <= self.stored and not too_far:
            return None
        self.stored = latest + self.timers.floor_ahead
        return self.stored


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.0f} hours"
