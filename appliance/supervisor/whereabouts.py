"""Where the peers were last, on disk: after a power cut they are called at once, wherever they are.

A peer behind NAT cannot be found otherwise, and by itself notices after 15 s that its session is gone
(KEEPALIVE_TIMEOUT + REKEY_TIMEOUT, WireGuard whitepaper, section 6). Endpoints seldom change, so the file is seldom
written: when one is other than it says, and no more often than every five minutes.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole

log = logging.getLogger("appliance.whereabouts")

EVERY_SECONDS = 300.0


class Whereabouts:
    """`known` maps peers (TUNNEL.PEER) to endpoints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = float("-inf")
        self.known: dict[str, str] = {}
        try:
            found = json.loads(path.read_text())
            self.known = {str(name): str(endpoint) for name, endpoint in found.items()}
        except (OSError, ValueError, AttributeError):
            pass  # none yet, or damaged: then the peers call by themselves

    def keep(self, seen: dict[str, str], names: set[str]) -> None:
        """Notes where peers were just seen; `names` are all that there are, others are forgotten."""
        now = time.monotonic()
        new = any(self.known.get(name) != endpoint for name, endpoint in seen.items())
        if not new or now - self.written < EVERY_SECONDS:
            return
        kept = {name: endpoint for name, endpoint in self.known.items() if name in names}
        self.known, self.written = {**kept, **seen}, now
        try:
            write_whole(self.path, json.dumps(self.known, sort_keys=True).encode(), 0o600)
        except (Refused, OSError) as error:
            log.warning("%s", error)
