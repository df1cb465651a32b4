"""Who is called when, after a promotion: the last active first, so many at a time, again when they do not answer.

A call takes one of its tunnel's slots until it is answered, or for the patience of one try: a peer that is away delays
nobody for longer. Calls again may take a quarter of the slots, so that neither the first calls wait for the peers that
are away, nor an active peer whose first call was lost for a thousand others.

Peers that were not active lately are not called. Those of them that have a keepalive get it back, which makes the
engine start a handshake; that is paced like a call, after all others, and not repeated: a quiet call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.core.takeover.events import Peer
from appliance.core.takeover.timers import Timers

DEFAULT_WINDOW = 64


@dataclass(slots=True)
class Call:
    """One peer's. `free_at`: its slot is given up; `again_at`: it may be called again, or is given up."""

    rank: int
    peer: Peer
    quiet: bool
    tries: int = 0
    at: float = 0.0
    free_at: float = 0.0
    again_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """Peers to call, to call again, to give their keepalive, and those that did not answer and are called no more."""

    calls: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()


class Calls:
    """The calls of one takeover."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.round_trip = 0.0
        """The longest of this takeover's, in seconds."""
        self.waiting: dict[str, Call] = {}
        self.called: dict[str, Call] = {}
        self.ranks = 0
        self.total = 0
        """Calls, without the quiet ones."""
        self.answered = 0
        self.given_up = 0
        self.seen = float("-inf")

    def add(self, peers: Iterable[Peer], quiet: bool = False) -> None:
        """In the order in which they are to be called, after those that wait already."""
        for peer in peers:
            self.forget((peer.name,))
            self.waiting[peer.name] = Call(self.ranks, peer, quiet)
            self.ranks += 1
            self.total += not quiet

    def add_again(self, peers: Iterable[Peer], now: float) -> None:
        """As if they had been called and had not answered: what was sent to them went nowhere."""
        for peer in peers:
            self.forget((peer.name,))
            self.called[peer.name] = Call(self.ranks, peer, quiet=False, tries=1, at=now, free_at=now, again_at=now)
            self.ranks += 1
            self.total += 1

    def first(self, now: float) -> tuple[str, ...]:
        """The peers whose handshakes start with the unmuting."""
        loud = sum(not call.quiet for call in self.waiting.values())
        return self._call_waiting(now, min(loud, self.timers.first))

    def due(self, now: float) -> Due:
        self.seen = now
        over = [name for name, call in self.called.items() if call.again_at <= now and self._last(call)]
        given_up = tuple(name for name in over if not self.called.pop(name).quiet)
        self.given_up += len(given_up)
        again = self._call_again(now)
        started = self._call_waiting(now, len(self.waiting))
        quiet = tuple(name for name in started if self.called[name].quiet)
        return Due(tuple(name for name in started if name not in set(quiet)), again, quiet, given_up)

    def answer(self, name: str, now: float) -> bool:
        """A new handshake; whether it answers a call (or came before the call)."""
        call = self.waiting.pop(name, None) or self.called.pop(name, None)
        if call is None or call.quiet:
            return False
        self.answered += 1
        # A longer wait is this box's own standing still, or a second try's answer.
        if call.tries == 1 and now - call.at <= self.patience:
            self.round_trip = max(self.round_trip, now - call.at)
        return True

    def forget(self, names: Iterable[str]) -> None:
        """These are no longer configured."""
        for name in names:
            call = self.waiting.pop(name, None) or self.called.pop(name, None)
            self.total -= call is not None and not call.quiet

    @property
    def done(self) -> bool:
        """Every call was answered or given up."""
        return self.answered + self.given_up >= self.total

    @property
    def patience(self) -> float:
        return max(self.timers.patience, min(2 * self.round_trip, self.timers.patience_most))

    @property
    def deadline(self) -> float | None:
        """When `due` should be asked next. A call that is due but has no slot waits for the next slot's end."""
        times = [at for call in self.called.values() for at in (call.free_at, call.again_at) if at > self.seen]
        return min(times, default=None)

    def outstanding(self, now: float) -> Counter[str]:
        """Slots in use, by tunnel."""
        return Counter(call.peer.tunnel for call in self.called.values() if call.free_at > now)

    def _call_waiting(self, now: float, most: int) -> tuple[str, ...]:
        used = self.outstanding(now)
        chosen: list[str] = []
        for name, call in self.waiting.items():
            if len(chosen) >= most:
                break
            if used[call.peer.tunnel] < self._window(call.peer):
                used[call.peer.tunnel] += 1
                chosen.append(name)
        for name in chosen:
            self.called[name] = self.waiting.pop(name)
            self._start(self.called[name], now)
        return tuple(chosen)

    def _call_again(self, now: float) -> tuple[str, ...]:
        used = self.outstanding(now)
        again = Counter(c.peer.tunnel for c in self.called.values() if c.free_at > now and c.tries > 1)
        late = sorted((call for call in self.called.values() if call.again_at <= now), key=lambda call: call.rank)
        chosen = []
        for call in late:
            tunnel, window = call.peer.tunnel, self._window(call.peer)
            if used[tunnel] < window and again[tunnel] < max(1, window // 4):
                used[tunnel] += 1
                again[tunnel] += 1
                self._start(call, now)
                chosen.append(call.peer.name)
        return tuple(chosen)

    def _start(self, call: Call, now: float) -> None:
        patience = self.patience
        call.tries += 1
        call.at = now
        call.free_at = now + patience
        call.again_at = now + patience * 2 ** (call.tries - 1)

    def _last(self, call: Call) -> bool:
        return call.quiet or call.tries >= self.timers.tries

    def _window(self, peer: Peer) -> int:
        return self.timers.windows.get(peer.engine, DEFAULT_WINDOW)
