"""Which peers have fallen silent: something was sent to them, and nothing has come back for a while.

Pure: readings and the time go in, names come out. WireGuard itself answers data within 10 s (KEEPALIVE_TIMEOUT), so a
peer that is sent to and stays silent for longer is not where we think it is, or not there at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SILENT_SECONDS = 10.0
AGAIN_SECONDS = 15.0
"""How long a silent peer is left alone after it was reported."""
BUSY_SECONDS = 2.5
"""While packets flow a look so often shows when they stopped to be answered; without traffic nobody need look."""

KEEPALIVE_BYTES = 32
"""A transport message without content (whitepaper, section 5.4.6)."""


@dataclass(slots=True)
class _Track:
    received: int
    sent: int
    at: float
    unanswered_since: float | None = None
    reported: float = float("-inf")


class Silence:
    """Follows the byte counters of named peers."""

    def __init__(self) -> None:
        self.tracks: dict[str, _Track] = {}
        self.busy = False

    def update(self, readings: Iterable[tuple[str, int, int, int]], now: float) -> list[str]:
        """`readings` are (peer, bytes received, bytes sent, keepalive in seconds or 0), `now` in seconds of a clock
        that only rises. Nobody answers a keepalive, so what may be keepalives alone does not count as sent.

        Returns the peers that are silent now and were not reported in the last AGAIN_SECONDS.
        """
        silent = []
        seen = set()
        self.busy = False
        for name, received, sent, keepalive in readings:
            seen.add(name)
            track = self.tracks.get(name)
            if track is None or received < track.received:
                self.tracks[name] = _Track(received, sent, now, None if received else now if sent else None)
                continue
            spoken = sent - track.sent > _keepalives(now - track.at, keepalive)
            self.busy = self.busy or received > track.received or spoken
            if received > track.received:
                track.unanswered_since = None
            elif spoken and track.unanswered_since is None:
                track.unanswered_since = now
            track.received, track.sent, track.at = received, sent, now
            since = track.unanswered_since
            if since is not None and now - since >= SILENT_SECONDS and now - track.reported >= AGAIN_SECONDS:
                track.reported = now
                silent.append(name)
        for name in self.tracks.keys() - seen:
            del self.tracks[name]
        return silent

    def unanswered(self, name: str) -> bool:
        """Whether the peer owes an answer, for however short a time."""
        track = self.tracks.get(name)
        return track is not None and track.unanswered_since is not None

    def due(self, now: float) -> float | None:
        """Seconds after which a look is worth while: a peer counts as silent then, or traffic may have stopped being
        answered. None: nobody sends, nobody waits."""
        waits = [
            max(track.unanswered_since + SILENT_SECONDS, track.reported + AGAIN_SECONDS) - now
            for track in self.tracks.values()
            if track.unanswered_since is not None
        ]
        if self.busy:
            waits.append(BUSY_SECONDS)
        return max(min(waits), 0.0) if waits else None


def _keepalives(seconds: float, interval: int) -> float:
    """The bytes that keepalives alone may have taken; one of them is sent unasked, after data that came in."""
    return KEEPALIVE_BYTES * (1 + (1 + seconds / interval if interval else 0))
