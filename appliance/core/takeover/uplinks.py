"""Which uplinks lead anywhere: their gateways are asked by ARP or ND, and a dead uplink gives way to a living one.

Both boxes often hang on one modem, and its death must move nothing. So a master gives way only where the other box's
gateway answered two questions that were asked after this box's own had begun to be silent; and an uplink that was dead
counts again only after it has answered for a while.

The gateway of a lease only the master can ask: the other box has a cable, and no address. So such an uplink is given
away on trust, once: who lost the role while its own was dead does not want it back for an hour, as long as the other
box can do it justice. A gateway that never answered here is not missed, unless the other box had its answers when the
role came; then it has longer, since a line that moved may take its time. A PPPoE session is such an uplink, too: that
it is up is its answer. Where the other box does not get the session either, the role goes back, and forth, at ever
longer intervals: the line that comes back first must not wait for somebody to say so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    learned: bool = False


class Uplinks:
    """Those with a gateway that can be asked; of the others nothing is known, and nothing follows from that."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.seen: dict[str, Seen] = {}
        self.ask_at: float | None = None
        self.asked: tuple[float, float] = (NEVER, NEVER)
        """When they were last asked, and the time before that, which is what the next answers are about."""
        self.reads = 0
        self.sessions: frozenset[str] = frozenset()
        """Those of the uplinks that are dialled (PPPoE)."""
        self.lived: frozenset[str] = frozenset()
        """The uplinks that led somewhere at the other box when the role came here."""
        self.known_up: set[str] = set()
        """The sessions that were up, here or at the other box: of a line that has never worked nothing is expected."""
        self.turns: dict[str, int] = {}
        """How often a session was given away since it was up here."""
        self.served: dict[str, float] = {}
        """When the other box last had what this one gave away."""
        self.tried: dict[str, float] = {}
        """Learned ones that were dead here when the role went, and until when that counts."""

    def ask(self, now: float) -> None:
        self.asked = (now, self.asked[0])
        self.ask_at = now + self.timers.uplink

    def read(self, answers: Mapping[str, bool], learned: Collection[str] = (), sessions: Collection[str] = ()) -> None:
        """By name, whether the gateway has answered what it was asked the time before last, or the session is up."""
        timers, at = self.timers, self.asked[1]
        self.reads += 1
        self.sessions = frozenset(sessions)
        self.tried = {name: until for name, until in self.tried.items() if name in learned}
        self.seen = {name: self.seen.get(name) or Seen(learned=name in learned) for name in answers}
        for name, answered in answers.items():
            seen = self.seen[name]
            if answered:
                if seen.silent_since is not None or seen.answered_at == NEVER:
                    seen.back_since = at
                seen.twice_at = seen.answered_at if seen.silent_since is None else NEVER
                seen.answered_at, seen.silent_since, seen.missed = at, None, 0
                seen.dead = seen.dead and at < seen.back_since + timers.uplink_calm
                if name in self.sessions:
                    self.known_up.add(name)
                    if at >= seen.back_since + timers.uplink_lasts:
                        self.turns.pop(name, None)
                continue
            patience = self._patience(name, seen)
            seen.twice_at = NEVER
            seen.silent_since = at if seen.silent_since is None else seen.silent_since
            if patience is None:
                continue
            seen.missed += 1
            seen.dead = seen.dead or seen.missed >= patience

    def _patience(self, name: str, seen: Seen) -> int | None:
        """After how many questions an uplink is dead; None where its silence means nothing."""
        timers, lived = self.timers, name in self.lived
        new, turns = seen.learned and seen.answered_at == NEVER, self.turns.get(name, 0)
        if name not in self.sessions:
            return timers.uplink_misses if not new else timers.uplink_misses_new if lived else None
        if not turns and (lived or not new):
            return timers.uplink_misses_session
        # To and fro is for offices that have nothing else.
        others = [each for each in self.seen.values() if each is not seen and not each.dead]
        online = any(each.answered_at != NEVER and each.silent_since is None for each in others)
        if online or name not in self.known_up:
            return None
        return timers.uplink_misses_trust << min(turns, timers.uplink_turns)

    def unknown(self) -> tuple[str, ...]:
        """Those that have neither answered here nor been found dead, for lack of time. A lease's cannot be asked."""
        return tuple(
            name for name, seen in self.seen.items() if seen.answered_at == NEVER and not (seen.dead or seen.learned)
        )

    @property
    def asked_once(self) -> bool:
        """Whether there was an answer, or none, to a first question."""
        return self.reads > 1

    def amiss(self, dead: Collection[str], before: bool = False) -> str:
        """What is wrong with these, in words; or was, when this box was master before."""
        silent = " and ".join(name for name in dead if name not in self.sessions)
        down = " and ".join(name for name in dead if name in self.sessions)
        words = [f"the gateway of {silent} {'did' if before else 'does'} not answer"] if silent else []
        words += [f"{down} {'had' if before else 'has'} no PPPoE session"] if down else []
        return " and ".join(words) + (" when it was master" if before else "")

    def dead(self) -> tuple[str, ...]:
        return tuple(name for name, seen in self.seen.items() if seen.dead)

    def role_lost(self, now: float) -> None:
        """From here on the other box has the leases."""
        until = now + self.timers.uplink_tried
        given = [name for name, seen in self.seen.items() if seen.dead and seen.learned]
        self.tried |= dict.fromkeys(given, until)
        self.served |= dict.fromkeys(given, now)
        self.turns |= {name: self.turns.get(name, 0) + 1 for name in given}
        self.seen = {name: seen for name, seen in self.seen.items() if not seen.learned}

    def role_taken(self, other: Mapping[str, float]) -> None:
        """`other`: as in `outdone`."""
        self.tried = {}
        self.lived = frozenset(other)

    def forgive(self, now: float) -> bool:
        """Those may be tried again, somebody says. Returns whether there were any."""
        forgiven, self.tried = bool(self.was_dead(now)), {}
        return forgiven

    def serves(self, living: Collection[str], now: float) -> None:
        """The other box, as master, has these."""
        self.known_up |= self.sessions.intersection(living)
        self.served |= dict.fromkeys(living, now)

    def was_dead(self, now: float) -> tuple[str, ...]:
        """Those that this box gave away, not long ago; but not a session that the other box does not get either."""
        vain = [name for name in self.sessions if now > self.served.get(name, now) + self.timers.uplink_unserved]
        return tuple(name for name, until in self.tried.items() if now < until and name not in vain)

    def living(self, now: float) -> tuple[Living, ...]:
        """For the partner."""
        return tuple(
            Living(name, round(now - seen.twice_at, 3))
            for name, seen in self.seen.items()
            if not seen.dead and seen.twice_at != NEVER
        )

    def outdone(self, other: Mapping[str, float]) -> tuple[str, ...]:
        """The dead uplinks that the other box has alive, none if it lacks one that lives here; or may lack it: of the
        gateway of a lease, or of a session, it does not know.

        `other`: when its gateways were asked the first of two questions that they answered, by this box's clock.
        """
        lives = {name: seen for name, seen in self.seen.items() if not seen.dead}
        if any(seen.answered_at != NEVER if seen.learned else name not in other for name, seen in lives.items()):
            return ()
        return tuple(
            name
            for name, seen in self.seen.items()
            if seen.dead
            and seen.silent_since is not None
            and (seen.learned or other.get(name, NEVER) > seen.silent_since + self.timers.uplink_doubt)
        )
