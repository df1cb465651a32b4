"""How often a box lost the role: one that dies again and again is to stay backup for a while.

A box that dies forgets. So each box counts what it saw happen to its partner, and tells it.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.core.takeover.timers import Timers


class Losses:
    """Times are monotonic."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.told: list[float] = []
        self.partners: list[float] = []
        self.seen_epoch = 0

    def partner_lost(self, epoch: int, now: float) -> None:
        """The partner was master of `epoch`, and this box had to take over; told twice, it counts once."""
        if epoch > self.seen_epoch:
            self.seen_epoch = epoch
            self.partners = [*self._recent(self.partners, now), now]

    def tell(self, ages: Iterable[float], now: float) -> None:
        """What the partner saw happen to this box, in seconds before its hello."""
        self.told = [now - age for age in ages]

    def forgive(self) -> bool:
        """A person wants the partner to have the role whatever it did. Whether there was anything to forget."""
        had, self.partners = bool(self.partners), []
        return had

    def ages(self, now: float) -> tuple[float, ...]:
        return tuple(round(now - at, 3) for at in self._recent(self.partners, now))

    def rests_until(self, now: float) -> float | None:
        """Until when this box should not ask for the role; None when nothing stands against it."""
        told = self._recent(self.told, now)
        if len(told) < self.timers.flaps:
            return None
        until = max(told) + self.timers.flap_rest
        return until if until > now else None

    def _recent(self, times: list[float], now: float) -> list[float]:
        return [at for at in times if now - at <= self.timers.flap_within]
