"""Looks for a signed bundle at the address that the configuration names, every so often; a unit of its own asks."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from appliance.adapters import systemd
from appliance.adapters.errors import Refused
from appliance.core.state import Desired, Fetch

log = logging.getLogger("appliance.fetching")

FIRST_SECONDS = 20.0
"""After a start or a change the first look comes within so long; a hundred boxes do not all come at once."""
JITTER = 0.1
PATIENCE_SECONDS = 86400.0
"""An hour offline is normal. A day is said."""


class Fetching:
    """`serves` says whether this box is the one that looks: in a pair the master."""

    def __init__(self, serves: Callable[[], bool]) -> None:
        self.serves = serves
        self.wanted: Fetch | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.last: dict[str, Any] = {}
        self.good_at = time.monotonic()

    def follow(self, desired: Desired | None) -> None:
        """Another configuration runs."""
        wanted = desired.fetch if desired else None
        if wanted == self.wanted:
            return
        self.wanted, self.last, self.good_at = wanted, {}, time.monotonic()
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if wanted:
            self._in(random.uniform(0.0, min(wanted.seconds, FIRST_SECONDS)))  # noqa: S311

    def told(self, good: bool, text: str) -> None:
        """The unit's word: `good` when the address was reached and had something for us, or nothing new."""
        if good:
            self.good_at = time.monotonic()
        if text != self.last.get("text"):
            (log.info if good else log.warning)("%s", text)
        self.last = {"good": good, "text": text, "at": time.time()}

    @property
    def note(self) -> str:
        if not self.wanted or time.monotonic() - self.good_at < PATIENCE_SECONDS:
            return ""
        return f"no bundle could be fetched for a day: {self.last.get('text', 'nothing was heard')}"

    def report(self) -> dict[str, Any] | None:
        return {"url": self.wanted.url, "last": self.last or None} if self.wanted else None

    def _in(self, seconds: float) -> None:
        self.timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        if self.wanted is None:
            return
        self._in(self.wanted.seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
        if self.serves():
            try:
                systemd.start_later(systemd.FETCH_UNIT)
            except Refused as error:
                log.warning("%s", error)
