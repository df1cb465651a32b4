"""networkd gives up on a link that it could not set up five times within ten seconds, and then no lease is renewed
(src/network/networkd-link.c, link_enter_failed). An uplink is worth another try."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from appliance.adapters.errors import Refused
from appliance.adapters.networkd_state import given_up
from appliance.adapters.systemd import reconfigure_link
from appliance.core.state import Uplink

log = logging.getLogger("appliance.networkd")

AGAIN_SECONDS = (2.0, 5.0, 15.0, 60.0)
"""Between one try and the next. Each asks for a lease anew, and what only half works is not to go all the time."""
FORGOTTEN_SECONDS = 300.0
"""Without a try for so long, the next one counts as the first."""


class NetworkdWatch:
    """`given_up` says on which devices networkd has given up, `ask` has it set one up once more."""

    def __init__(
        self,
        given_up: Callable[[], frozenset[str]] = given_up,
        ask: Callable[[str], None] = reconfigure_link,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.given_up, self.ask, self.now = given_up, ask, now
        self.tried: dict[str, tuple[int, float]] = {}
        """By device, how many times in a row, and when last."""

    def look(self, uplinks: Iterable[Uplink]) -> None:
        """Asks for each uplink by DHCP or router advertisements on which networkd has given up, if not just asked."""
        watched = [uplink.device for uplink in uplinks if uplink.dynamic]
        failed = self.given_up() if watched else frozenset()
        for device in watched:
            if device in failed and self._due(device):
                log.warning("networkd has given up on %s (see `networkctl status`); it is asked again", device)
                try:
                    self.ask(device)
                except Refused as error:
                    log.error("%s", error)

    def _due(self, device: str) -> bool:
        """Whether to try now; that is noted then."""
        now = self.now()
        times, last = self.tried.get(device, (0, now))
        if now - last >= FORGOTTEN_SECONDS:
            times = 0
        if times and now - last < AGAIN_SECONDS[min(times, len(AGAIN_SECONDS)) - 1]:
            return False
        self.tried[device] = times + 1, now
        return True
