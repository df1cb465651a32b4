"""Cards are tuned when they come, and never while they work: some drivers take their link down for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.adapters.hardware import Hardware
from appliance.shell.tuning import tune


class Tuning:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: frozenset[str] | None = None
        self.task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Has the hardware set right in the background, where a card came since the last look, or at the first."""
        cards = frozenset(Hardware(self.root).cards())
        if self.task and not self.task.done():
            return
        new = self.known is None or cards - self.known
        self.known = cards
        if new:
            self.task = asyncio.create_task(asyncio.to_thread(tune, self.root))
