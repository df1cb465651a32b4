"""When each peer was seen last, on disk: an engine forgets it with a restart of the box, and a person asks for weeks.

The time of the last handshake, written at the end and once a day, and within minutes where somebody came who was never
seen before. A power cut takes a day of it at the most.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.core.state import DesiredTunnel, ObservedDevice

log = logging.getLogger("appliance.last_seen")

EVERY_SECONDS, NEW_SECONDS = 86400.0, 300.0


class LastSeen:
    """`times` maps public keys to seconds since 1970: a name goes on with new keys, which nobody has used yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = float("-inf")
        self.times: dict[str, float] = {}
        try:
            found = json.loads(path.read_text())
            times = {str(key): float(seconds) for key, seconds in found.items()}
            self.times = {key: seconds for key, seconds in times.items() if math.isfinite(seconds)}
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # none yet, or damaged: it is gathered anew
        self.kept = dict(self.times)

    def note(self, tunnels: Iterable[DesiredTunnel], devices: Mapping[str, ObservedDevice]) -> None:
        """Takes the engines' word, and writes it where that is due; who left the configuration is forgotten then."""
        found: dict[str, float] = {}
        now = time.time()
        for tunnel in tunnels:
            device = devices.get(tunnel.device)
            for peer in tunnel.peers:
                seen = device.peers.get(peer.public_key) if device else None
                # Whoever a trial leaves out is known again after it. And a clock may have been ahead.
                before = max(self.times.get(peer.public_key, 0.0), self.kept.get(peer.public_key, 0.0))
                if last := min(max(seen.last_handshake if seen else 0.0, before), now):
                    found[peer.public_key] = max(last, found.get(peer.public_key, 0.0))
        self.times = found
        since = time.monotonic() - self.written
        if since >= (NEW_SECONDS if found.keys() - self.kept.keys() else EVERY_SECONDS):
            self.keep()

    def keep(self) -> None:
        """Writes it, where anything is new."""
        if self.times == self.kept:
            return
        self.kept, self.written = dict(self.times), time.monotonic()
        try:
            write_whole(self.path, json.dumps(self.kept, sort_keys=True).encode(), 0o600)
        except (Refused, OSError) as error:
            log.warning("%s", error)
