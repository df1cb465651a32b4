"""What peers send and receive a second: from two answers of `status`, and for the last ones as a little curve."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

KEPT = 12
BLOCKS = " ▁▂▃▄▅▆▇█"
PLAIN = " .:-=+*#@"
"""For the Linux console, whose fonts lack the blocks."""


class Rate(NamedTuple):
    """Bytes a second."""

    received: float
    sent: float


class Rates:
    """By peer (TUNNEL.PEER), the last of them; `at` of each answer is monotonic."""

    def __init__(self) -> None:
        self.kept: dict[str, deque[Rate]] = {}
        self.before: dict[str, tuple[str, int, int]] = {}
        self.at = 0.0

    def take(self, status: dict[str, Any], at: float) -> None:
        """An answer. A count that went down is of an engine that began anew, and says nothing of the time between."""
        peers = [peer for tunnel in status["tunnels"] for peer in tunnel["peers"]]
        now = {peer["name"]: (peer["public_key"], peer["received_bytes"], peer["sent_bytes"]) for peer in peers}
        passed = at - self.at
        for name, (key, received, sent) in now.items():
            before = self.before.get(name)
            if before is None or before[0] != key or received < before[1] or sent < before[2] or passed <= 0:
                continue
            rate = Rate((received - before[1]) / passed, (sent - before[2]) / passed)
            self.kept.setdefault(name, deque(maxlen=KEPT)).append(rate)
        self.kept = {name: kept for name, kept in self.kept.items() if name in now}
        self.before, self.at = now, at

    def last(self, name: str) -> Rate | None:
        """None before the second answer."""
        kept = self.kept.get(name)
        return kept[-1] if kept else None

    def curve(self, name: str, plain: bool) -> str:
        """Both directions together, the highest of them as high as it goes; nothing is nothing."""
        totals = [sum(rate) for rate in self.kept.get(name, ())]
        levels = PLAIN if plain else BLOCKS
        top = max(totals, default=0.0)
        steps = len(levels) - 1
        drawn = "".join(levels[max(1, round(total / top * steps))] if total else levels[0] for total in totals)
        return drawn.rjust(KEPT)
