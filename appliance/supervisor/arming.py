"""A trial is put on disk, and its end armed in systemd, beside the work that leads to its first step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property

from appliance.adapters import systemd
from appliance.adapters.errors import Refused
from appliance.adapters.generation_store import GenerationStore
from appliance.core.generations import Generation
from appliance.supervisor.keeper import ApplyFailed

EXPIRE = ("/usr/bin/appliance", "rollback", "--expired")


def arm(trial: str, seconds: float) -> None:
    """Has systemd end the trial after so long. Raises Refused. A trial that is not on disk, it finds to be over."""
    systemd.arm_trial(trial, seconds, [*EXPIRE, trial])


class Arming:
    """Threads do it: the disk and systemd take milliseconds in which there is other work.

    `made` gives the generation once it is sure that there will be a trial; what is refused before is never written.
    After `done` a power cut or the deadline end the trial.
    """

    def __init__(self, store: GenerationStore, trial: str, within: float, made: Callable[[], Generation]) -> None:
        self.store = store
        self.trial = trial
        self.within = within
        self.made = made
        self.timer: asyncio.Future[None] | None = None
        self.disk: asyncio.Future[None] | None = None

    @cached_property
    def generation(self) -> Generation:
        return self.made()

    def arm(self) -> None:
        if self.timer is None:
            self.timer = asyncio.get_running_loop().run_in_executor(None, arm, self.trial, self.within)

    def write(self) -> None:
        if self.disk is None:
            self.disk = asyncio.get_running_loop().run_in_executor(None, self.store.begin, self.generation)

    async def done(self) -> None:
        """Raises ApplyFailed when the disk or systemd did not take it."""
        self.arm()
        self.write()
        assert self.timer and self.disk
        try:
            await self.disk
            await self.timer
        except Refused as error:
            raise ApplyFailed(f"the trial cannot begin: {error}; nothing was changed") from None

    async def take_back(self) -> None:
        """The trial is over before it began."""
        begun = {work for work in (self.timer, self.disk) if work}
        if begun:
            await asyncio.wait(begun)
        if self.timer:
            systemd.disarm_trial()
        if self.disk:
            self.store.discard()
