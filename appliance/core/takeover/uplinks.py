"""Which uplinks lead anywhere: their gateways are asked by ARP or ND, and a dead uplink gives way to a living one.

Both boxes often hang on one modem, and its death must move nothing. So a master gives way only where the other box's
gateway answered two questions that were asked after this box's own had begun to be silent; and an uplink that was dead
counts again only after it has answered for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.core.takeover.hello import Living
from appliance.core.takeover.timers import Timers

NEVER = float("-inf")


@dataclass(slots=True)
class Seen:
    """Times are those of the questions, on this box's monotonic clock."""

    answered_at: float = NEVER
    twice_at: float = NEVER
    """The last question but one, where both were answered: a modem that is there for a moment answers one box once."""
    silent_since: float | None = None
    missed: int = 0
    dead: bool = False
    back_since: float = NEVER


class Uplinks:
    """Those with a gateway that can be asked; of the others nothing is known, and nothing follows from that."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.seen: dict[str, Seen] = {}
        self.ask_at: float | None = None
        self.asked: tuple[float, float] = (NEVER, NEVER)
        """When they were last asked, and the time before that, which is what the next answers are about."""

    def ask(self, now: float) -> None:
        self.asked = (now, self.asked[0])
        self.ask_at = now + self.timers.uplink

    def read(self, answers: Mapping[str, bool]) -> None:
        """By name, whether the gateway has answered what it was asked the time before last."""
        at = self.asked[1]
        self.seen = {name: self.seen.get(name) or Seen() for name in answers}
        for name, answered in answers.items():
            seen = self.seen[name]
            if answered:
                if seen.silent_since is not None:
                    seen.back_since = at
                seen.twice_at = seen.answered_at if seen.silent_since is None else NEVER
                seen.answered_at, seen.silent_since, seen.missed = at, None, 0
                seen.dead = seen.dead and at < seen.back_since + self.timers.uplink_calm
                continue
            seen.twice_at = NEVER
            seen.silent_since = at if seen.silent_since is None else seen.silent_since
            seen.missed += 1
            seen.dead = seen.dead or seen.missed >= self.timers.uplink_misses

    def dead(self) -> tuple[str, ...]:
        return tuple(name for name, seen in self.seen.items() if seen.dead)

    def living(self, now: float) -> tuple[Living, ...]:
        """For the partner."""
        return tuple(
            Living(name, round(now - seen.twice_at, 3))
            for name, seen in self.seen.items()
            if not seen.dead and seen.twice_at != NEVER
        )

    def outdone(self, other: Mapping[str, float]) -> tuple[str, ...]:
        """The dead uplinks that the other box has alive, none if it lacks one that lives here.

        `other`: when its gateways were asked the first of two questions that they answered, by this box's clock.
        """
        if any(not seen.dead and name not in other for name, seen in self.seen.items()):
            return ()
        return tuple(
            name
            for name, seen in self.seen.items()
            if seen.dead
            and seen.silent_since is not None
            and other.get(name, NEVER) > seen.silent_since + self.timers.uplink_doubt
        )
