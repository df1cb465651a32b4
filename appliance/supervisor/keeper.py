"""Keeps the box as it should be: repairs what drifted, and takes it from one configuration to the next, or back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.adapters.errors import Refused
from appliance.core.in_force import SESSION_SECONDS
from appliance.core.plan import Plan, Planned, plan
from appliance.core.state import ALONE, Desired, Observed, ObservedDevice, Role, nothing
from appliance.core.steps import ReloadNetworkd, SetPeers, Step
from appliance.core.traffic import Traffic
from appliance.shell.machine import Machine

log = logging.getLogger("appliance.keeper")

SETTLE_SECONDS = 10.0
NETWORKD_SECONDS = 2.0
"""After so long networkd is asked once more for an address that it was to set."""
REMIND_SOON_SECONDS, REMIND_SECONDS = 5.0, 60.0
"""A daemon that did not read its files is told again after so long, and then every minute."""
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""After a repair that did not go through; only while something is amiss."""


class ApplyFailed(Exception):
    """The configuration does not run; the text says why, and what the box runs now."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the machine said, and how many changes were known by then."""

    observed: Observed
    changes: int


class Applied(NamedTuple):
    """How often a configuration was brought to run since the start, and in how many seconds: in all, and the last."""

    times: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0

    def again(self, took: float) -> Applied:
        return Applied(self.times + 1, self.seconds + took, took)


@dataclass(slots=True)
class Keeper:
    """`resolved` gives what the endpoint names say, `outside` whether one is to be asked for outside of a full tunnel,
    `at_least` what the time is known to be at least; `desired` is what the box should be, None before the first file.
    """

    machine: Machine
    resolved: Callable[[], dict[str, tuple[str, ...]]]
    outside: Callable[[], bool]
    at_least: Callable[[], float]
    desired: Desired | None = None
    failures: tuple[str, ...] = ()
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    changes: int = 0
    """How often the kernel told of one, or this made one that the kernel does not tell of: an engine's."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    attempts: int = 0
    unread: tuple[str, ...] = ()
    """What daemons have not read, in words."""
    remind_at: float = field(default_factory=lambda: time.monotonic() + REMIND_SOON_SECONDS)
    """Not while the supervisor starts, nor right after a reload that failed."""
    waited_for: ReloadNetworkd | None = None
    seen: dict[str, str] = field(default_factory=dict)
    role: Role = ALONE
    traffic: Traffic = field(default_factory=Traffic)
    applied: Applied = field(default_factory=lambda: Applied())
    seen_by: Callable[[Observed], None] = lambda observed: None
    """Called with what every repair begins with; it may change the role."""
    alive: Callable[[], None] = lambda: None
    """Called before each step: a slow machine takes long over many, which is not standing still."""

    def observe(self) -> Observed:
        observed = self.machine.observe(self.resolved(), self.outside(), self.at_least())
        self.traffic.note(observed.devices, time.monotonic())
        return observed

    def note_change(self) -> None:
        """The kernel told of a change."""
        self.changes += 1
        self.changed.set()

    def look(self) -> Look:
        """Reads the machine whole, and what its kernel has."""
        self.machine.read_facts()
        return Look(self.observe(), self.changes)

    def still(self, look: Look | None) -> Look:
        """This look, if nothing changed since; another one otherwise."""
        return look if look and look.changes == self.changes else self.look()

    def remember(self, devices: dict[str, ObservedDevice]) -> None:
        """Keeps in mind where each peer was lately. Only a dead engine is ever replaced from it, since the living one
        can be asked."""
        # One without a session is not called.
        since = time.time() - SESSION_SECONDS
        for tunnel in self.desired.tunnels if self.desired else ():
            state = devices.get(tunnel.device)
            for peer in tunnel.peers if state else ():
                now = state.peers.get(peer.public_key) if state else None
                if now and now.endpoint and now.last_handshake > since:
                    self.seen[peer.name] = now.endpoint
                elif now:
                    self.seen.pop(peer.name, None)

    def plan(self, desired: Desired, look: Look | None = None) -> Plan:
        """What it would take to get to `desired` from here."""
        return plan(desired, self.still(look).observed, self.desired, role=self.role)

    # -- repairing ----------------------------------------------------------------------------------------------------

    async def repair(self, moved: dict[str, str] | None = None) -> float | None:
        """Puts right what differs. Returns the seconds after which to try again, None when all is as it should be."""
        if self.desired is None:
            return None
        async with self.lock:
            again, owed = self._repair(self.desired, moved or {}), await self._remind()
            return owed if again is None else again if owed is None else min(again, owed)

    async def _remind(self) -> float | None:
        """Has daemons read what they did not when it was written: their reload failed, or the supervisor was killed
        before it. Returns the seconds after which to try again.

        Beside the plan, which is about what the box is: a daemon that hangs must not make a good change fail, nor have
        everything built anew. Nor may it have the supervisor stand still.
        """
        unread, self.unread = self.machine.unread(), ()
        if unread and time.monotonic() >= self.remind_at:
            for daemon in sorted(unread):
                try:
                    await asyncio.to_thread(self.machine.tell, daemon)
                    log.warning("%s had not read what was written for it, and was told again", daemon)
                except (Refused, OSError) as error:
                    log.error("%s", error)
            self.remind_at = time.monotonic() + REMIND_SECONDS
            unread = self.machine.unread()
        if not unread:
            return None
        self.unread = tuple(
            f"{daemon} has not read what was written for it; it is told again" for daemon in sorted(unread)
        )
        return max(self.remind_at - time.monotonic(), 0.0)

    def _repair(self, desired: Desired, moved: dict[str, str]) -> float | None:
        start = time.monotonic()
        try:
            observed = self.observe()
            self.remember(observed.devices)
            self.seen_by(observed)
            todo = plan(desired, observed, desired, moved, self.seen, self.role)
        except (Refused, OSError) as error:
            self.failures = (str(error),)
            return self._retry()
        steps = [each for each in todo.planned if each.step != self.waited_for]
        failures: list[str] = []
        broken: set[str] = set()
        waited_for: ReloadNetworkd | None = None
        for each in steps:
            device = getattr(each.step, "device", "")
            if device and device in broken:
                continue
            try:
                self.changes += 1
                self._step(each.step)
                if isinstance(each.step, ReloadNetworkd) and each.step.devices:
                    waited_for = each.step
            except (Refused, OSError) as error:
                failures.append(str(error))
                broken.add(device)
                if str(error) not in self.failures:
                    self.remind_at = max(self.remind_at, time.monotonic() + REMIND_SOON_SECONDS)
        # networkd sets addresses in its own time: having asked, wait for its events, and ask again after a while.
        waiting = self.waited_for is not None and any(each.step == self.waited_for for each in todo.planned)
        self.waited_for = waited_for
        if steps:
            took = (time.monotonic() - start) * 1000
            shown = "; ".join(str(each.step) for each in steps[:8])
            log.info("put right in %.0f ms: %s", took, shown, extra={"STEPS": len(steps), "MILLISECONDS": round(took)})
        for failure in failures:
            if failure not in self.failures:
                log.error("%s", failure)
        self.failures = tuple(failures)
        if failures:
            return self._retry()
        self.attempts = 0
        return NETWORKD_SECONDS if waited_for or waiting else None

    def _retry(self) -> float:
        seconds = RETRY_SECONDS[min(self.attempts, len(RETRY_SECONDS) - 1)]
        self.attempts += 1
        return seconds

    # -- applying -----------------------------------------------------------------------------------------------------

    async def apply(
        self,
        desired: Desired,
        role: Role | None = None,
        look: Look | None = None,
        armed: Callable[[], Awaitable[None]] | None = None,
    ) -> Plan:
        """Takes the box to `desired`, whole, or leaves it as it was. Returns the plan that was run.

        `role` is the box's from now on, None for the one that it has. `look` is what was seen already, `armed` is
        waited for before the first step.

        Raises ApplyFailed with the reason, after everything was taken back and read back.
        """
        async with self.lock:
            start = time.monotonic()
            observed = self.still(look).observed
            self._possible(desired, observed)
            todo = plan(desired, observed, self.desired, role=role or self.role)
            if any("is left out" in warning for warning in todo.warnings):
                raise ApplyFailed("; ".join(todo.warnings) + "; nothing was changed")
            if armed:
                await armed()
            before_role, self.role = self.role, role or self.role
            done: list[Planned] = []
            try:
                self._run(todo, done)
                await self._settle(desired, done)
            except (Refused, OSError) as error:
                self.role = before_role
                raise ApplyFailed(f"{error}; {await self._undo(desired, done)}") from None
            except Exception:
                log.exception("applying met an error of its own")
                self.role = before_role
                message = "the supervisor met an error of its own (see `journalctl -u appliance`)"
                raise ApplyFailed(f"{message}; {await self._undo(desired, done)}") from None
            self.desired = desired
            self.failures = ()
            self.applied = self.applied.again(time.monotonic() - start)
            return todo

    def _possible(self, desired: Desired, observed: Observed) -> None:
        """What can be known beforehand to fail, said before anything is touched."""
        present = observed.links
        made = {each.device: each.parent for each in desired.vlans}
        for link in desired.links:
            # A VLAN comes with the plan, if its card is there.
            card = link.device if link.device in present else made.get(link.device, link.device)
            if card not in present:
                have = ", ".join(name for name, each in sorted(present.items()) if not each.kind or each.kind == "veth")
                raise ApplyFailed(
                    f"boxes.{desired.box}.interfaces.{link.name}.device: {card} does not exist on this box, "
                    f"which has {have or 'none'}; nothing was changed"
                )
        ours = {state.listen_port for state in observed.devices.values()}
        for tunnel in desired.tunnels:
            if tunnel.listen_port and tunnel.listen_port not in ours:
                self._free(tunnel.base, tunnel.listen_port)

    def _free(self, name: str, port: int) -> None:
        if self.machine.port_taken(port):
            raise ApplyFailed(
                f"tunnels.{name}.listen_port: UDP port {port} is taken by another program on this box "
                f"(see `ss -lunp`); nothing was changed"
            )

    def _step(self, step: Step) -> None:
        self.alive()
        self.machine.run(step)
        if isinstance(step, SetPeers):
            added = (change.public_key for change in step.changes if change.new)
            self.traffic.begin(step.device, added, time.monotonic())

    def _run(self, todo: Plan, done: list[Planned]) -> None:
        for each in todo.planned:
            done.append(each)
            self.changes += 1
            self._step(each.step)

    async def _settle(self, desired: Desired, done: list[Planned]) -> None:
        """Reads back until nothing is left to do; what became possible meanwhile (a gateway's route) is done."""
        end = time.monotonic() + SETTLE_SECONDS
        ran: set[Step] = {each.step for each in done}
        while True:
            self.changed.clear()
            rest = plan(desired, self.observe(), desired, role=self.role)
            if not rest:
                return
            fresh = [
                each for each in rest.planned if each.step not in ran and not isinstance(each.step, ReloadNetworkd)
            ]
            for each in fresh:
                done.append(each)
                ran.add(each.step)
                self._step(each.step)
            left = end - time.monotonic()
            if left <= 0:
                raise Refused(f"read back, this did not take effect: {rest.steps[0]}")
            if not fresh:
                try:
                    async with asyncio.timeout(min(left, 0.25)):
                        await self.changed.wait()
                except TimeoutError:
                    continue

    # -- going back ---------------------------------------------------------------------------------------------------

    async def _undo(self, failed: Desired, done: list[Planned]) -> str:
        """Takes the steps back in reverse, then compares with what stood before. Says how that went."""
        for each in reversed(done):
            for step in each.undo:
                try:
                    self._step(step)
                except (Refused, OSError) as error:
                    log.error("taking back: %s", error)
        trouble = await self._restore(self.desired, failed)
        if trouble:
            return f"going back is not complete yet: {trouble}"
        return "the configuration before runs again" if self.desired else "taken back"

    async def restore(self, desired: Desired | None, role: Role | None = None) -> str:
        """Takes the box back to `desired`, None for a box that has no configuration, and reads that back.

        Returns "" when it is so. Otherwise what is amiss; it is tried again at every event, as any repair is.
        """
        async with self.lock:
            before, self.desired, self.role = self.desired, desired, role or self.role
            return await self._restore(desired, before)

    async def _restore(self, desired: Desired | None, tried: Desired | None) -> str:
        """First by what differs; if that does not come out, from nothing."""
        self.failures = ()
        if desired is None:
            done = tried is None or await self._reached(nothing(tried, files=False))
            return "" if done else self._amiss()
        if await self._reached(desired):
            return ""
        log.error("going back did not come out (%s); building the configuration from nothing", self._amiss())
        self._repair(nothing(desired), {})
        return "" if await self._reached(desired) else self._amiss()

    async def _reached(self, desired: Desired) -> bool:
        """Repairs until nothing differs any more, for some seconds."""
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            self.changed.clear()
            self._repair(desired, {})
            try:
                if not plan(desired, self.observe(), desired, role=self.role):
                    return True
            except (Refused, OSError) as error:
                self.failures = (str(error),)
            left = end - time.monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 0.25)):
                    await self.changed.wait()

    def _amiss(self) -> str:
        return "; ".join(self.failures) or "what was asked for did not take effect"
