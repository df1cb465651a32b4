"""`appliance supervise`: the loop that events drive, the watchdog's beat, and the answers on the control socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import logging
import os
import signal
from typing import Any

from systemd import daemon

from appliance.adapters import memory
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.adapters.monitor import Monitor
from appliance.core.codec import to_json
from appliance.core.pair.link import enrolled, with_pair_link
from appliance.core.pair.names import PAIR_DEVICE
from appliance.core.plan import plan, shown
from appliance.core.problems import ConfigurationError
from appliance.core.state import ALONE, Desired, Role
from appliance.shell.machine import Machine
from appliance.shell.paths import Paths
from appliance.supervisor.compiler import compile_file, keep, kept
from appliance.supervisor.control import ControlSocket
from appliance.supervisor.endpoints import Endpoints
from appliance.supervisor.keeper import ApplyFailed, Keeper
from appliance.supervisor.pair import PairDriver, role_at_start
from appliance.supervisor.report import report

log = logging.getLogger("appliance.supervisor")

NOT_PAIRED = (
    "failover is not carried out: this box does not know its partner's key yet, so it runs alone, with its own "
    "addresses only; write the other box's pair key into /data/appliance/keys/pair-partner.pub and apply again "
    "(this box's own is {key})"
)
PAIR_AGAIN_SECONDS = 2.0
COALESCE_SECONDS = 0.01
"""Events come in bursts; one look after the burst sees all of it."""


class Supervisor:
    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.machine = Machine(paths)
        self.endpoints = Endpoints(paths, self._moved)
        self.keeper = Keeper(self.machine, lambda: self.endpoints.resolved, lambda: self.endpoints.outside)
        self.wake = asyncio.Event()
        self.stop = asyncio.Event()
        self.moved: dict[str, str] = {}
        self.retry: asyncio.TimerHandle | None = None
        self.refused: tuple[str, ...] = ()
        self.pair: PairDriver | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        control = ControlSocket(self.paths.control, self.answer)
        Monitor(self._changed).start()
        self.machine.read_facts()
        # First, so that whatever is wrong with the rest can be seen and mended.
        await control.start()
        await self._load_confirmed()
        await self._repair()
        await self._pair()
        daemon.notify(f"READY=1\nSTATUS={self._summary()}")
        beat = asyncio.create_task(self._beat())
        # What start-up made lives as long as the process; the collector need not walk it again.
        memory.give_back()
        gc.freeze()
        await self._loop()
        daemon.notify("STOPPING=1")
        beat.cancel()
        return 0

    # -- events -------------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.wake.set()
        self.keeper.changed.set()

    def _moved(self, moved: dict[str, str]) -> None:
        self.moved.update(moved)
        self.wake.set()

    async def _loop(self) -> None:
        stopping = asyncio.create_task(self.stop.wait())
        while not self.stop.is_set():
            waking = asyncio.create_task(self.wake.wait())
            await asyncio.wait({stopping, waking}, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            if self.stop.is_set():
                break
            await asyncio.sleep(COALESCE_SECONDS)
            self.wake.clear()
            self.endpoints.network_changed()
            await self._repair()

    async def _repair(self) -> None:
        moved, self.moved = self.moved, {}
        again = await self.keeper.repair(moved)
        if self.retry:
            self.retry.cancel()
            self.retry = None
        memory.give_back()
        if again is not None:
            self.retry = asyncio.get_running_loop().call_later(again, self.wake.set)

    async def _beat(self) -> None:
        """The only clock: feeds systemd's watchdog, notes where peers are, and looks after those that have a name."""
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
        # A quarter of it: a peer that moved is noticed within a beat and ten seconds, and is followed in under 20.
        seconds = microseconds / 4e6 if microseconds else 5.0
        while True:
            # Between two beats only while a peer with a name is sent to, or is not answering.
            due = self.endpoints.due()
            await asyncio.sleep(seconds if due is None else min(seconds, due + 0.5))
            daemon.notify("WATCHDOG=1")
            try:
                devices = self.machine.devices(self.machine.netlink.links())
                self.keeper.remember(devices)
                if self.endpoints.watching:
                    self.endpoints.tick(devices)
            except (Refused, OSError) as error:
                log.warning("%s", error)

    # -- the configuration --------------------------------------------------------------------------------------------

    async def _load_confirmed(self) -> None:
        try:
            content = self.paths.confirmed.read_bytes()
        except FileNotFoundError:
            log.info("no configuration yet; nothing is forwarded")
            return
        except OSError as error:
            self._refuse((f"{self.paths.confirmed} cannot be read: {error.strerror}",))
            return
        box = self.paths.box_name()
        try:
            self.keeper.desired = kept(self.paths.compiled, content, box) or await compile_file(content, box)
        except ConfigurationError as error:
            self._refuse(tuple(problem.line(str(self.paths.confirmed)) for problem in error.problems))
            return
        self._use(self.keeper.desired)

    def _use(self, desired: Desired) -> None:
        """The wish of the confirmed file; and in a pair that knows its partner, the link to it, and a role."""
        self.keeper.desired = self._paired(desired)
        self.endpoints.follow(desired)
        if not self._has_partner():
            self.keeper.role = ALONE
        elif self.pair is None:
            self.keeper.role = role_at_start(self.machine, self.keeper.desired)

    def _paired(self, desired: Desired) -> Desired:
        if desired.pair:
            self.machine.keys.private_key(PAIR_DEVICE)
        return with_pair_link(desired, self.machine.keys.public_keys())

    def _not_paired(self) -> str:
        return NOT_PAIRED.format(key=self.machine.keys.public_keys().get(PAIR_DEVICE, "not made yet"))

    def _has_partner(self) -> bool:
        desired = self.keeper.desired
        return desired is not None and enrolled(desired, self.machine.keys.public_keys())

    async def _pair(self) -> None:
        """Starts, tells or ends the pair, as the configuration that runs now says."""
        desired = self.keeper.desired
        if desired is None or not self._has_partner():
            if self.pair:
                self.pair.close()
                self.pair = None
            return
        if self.pair and not self.pair.serves(desired):
            self.pair.close()
            self.pair = None
            self.keeper.role = Role(muted=True)
        if self.pair:
            self.pair.configured(desired)
            return
        driver = PairDriver(self.paths, self.machine, self.keeper, desired, self.wake.set)
        try:
            await driver.start(desired)
        except (Refused, OSError) as error:
            driver.close()
            self.keeper.role = Role(muted=True)
            log.error("the pair cannot start: %s; trying again", error)
            asyncio.get_running_loop().call_later(PAIR_AGAIN_SECONDS, self._pair_again)
            return
        self.pair = driver

    def _pair_again(self) -> None:
        task = asyncio.create_task(self._pair())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _refuse(self, reasons: tuple[str, ...]) -> None:
        self.refused = reasons
        for reason in reasons:
            log.error("the confirmed configuration cannot be used: %s", reason)

    def _summary(self) -> str:
        desired = self.keeper.desired
        if desired is None:
            return "no configuration yet: appliance apply FILE"
        trouble = f"; amiss: {self.keeper.failures[0]}" if self.keeper.failures else ""
        return f"{desired.site}, {desired.box}: {len(desired.tunnels)} tunnels{trouble}"

    # -- the control socket -------------------------------------------------------------------------------------------

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            match request.get("verb"):
                case "status":
                    return {"status": self._status()}
                case "plan":
                    return await self._plan(request)
                case "apply":
                    return await self._apply(request)
                case "handover":
                    return self._handover()
                case other:
                    return {"error": f"the supervisor does not know {other!r}"}
        except ConfigurationError as error:
            return {"problems": [to_json(problem) for problem in error.problems]}
        except (ApplyFailed, Refused) as error:
            return {"error": str(error)}

    def _status(self) -> dict[str, Any]:
        desired = self.keeper.desired
        observed = self.keeper.observe()
        todo = plan(desired, observed, desired, role=self.keeper.role) if desired else None
        notes = [*self.keeper.failures, *self.refused]
        if desired and desired.pair and not self.pair:
            notes.append(self._not_paired())
        found = report(desired, observed, todo, tuple(notes), self.machine.nft.counters())
        if self.pair:
            found["pair"] = self.pair.report()
            found["role"] = found["pair"]["role"]
        return found

    async def _plan(self, request: dict[str, Any]) -> dict[str, Any]:
        desired = await compile_file(_content(request), self.paths.box_name())
        self.machine.read_facts()
        return shown(self.keeper.plan(self._paired(desired)))

    async def _apply(self, request: dict[str, Any]) -> dict[str, Any]:
        content = _content(request)
        desired = await compile_file(content, self.paths.box_name())
        joining = self.pair is None and enrolled(desired, self.machine.keys.public_keys())
        before = self.keeper.desired
        # Names are asked for from now on, beside the apply; what they need of it (routing) is part of the plan.
        self.endpoints.follow(desired)
        try:
            done = await self.keeper.apply(self._paired(desired), Role(muted=True) if joining else None)
        except ApplyFailed:
            if self.keeper.desired:
                self.endpoints.follow(self.keeper.desired)
            raise
        try:
            if self._confirmed_digest() != desired.digest:
                write_whole(self.paths.confirmed, content, 0o600)
        except Refused as error:
            if before is None:
                raise
            # What runs must be what a boot loads: back, then.
            await self.keeper.apply(before, ALONE if joining else None)
            self.endpoints.follow(before)
            raise ApplyFailed(f"{error}; the configuration before runs again") from None
        with contextlib.suppress(Refused):
            keep(self.paths.compiled, content, self.paths.box_name(), desired)
        self.refused = ()
        self._use(desired)
        await self._pair()
        asyncio.get_running_loop().call_later(COALESCE_SECONDS, memory.give_back)
        daemon.notify(f"STATUS={self._summary()}")
        log.info("applied %s", desired.digest[:12], extra={"STEPS": len(done.planned), "DIGEST": desired.digest})
        answer = shown(done)
        if desired.pair and not self.pair:
            answer["warnings"].append(self._not_paired())
        return answer

    def _handover(self) -> dict[str, Any]:
        if self.pair is None:
            return {"error": "this box stands alone: there is nobody to hand the role to"}
        self.pair.handover()
        return {"pair": self.pair.report()}

    def _confirmed_digest(self) -> str:
        try:
            return hashlib.sha256(self.paths.confirmed.read_bytes()).hexdigest()
        except OSError:
            return ""


def _content(request: dict[str, Any]) -> bytes:
    return base64.b64decode(str(request["file"]))


def supervise(paths: Paths) -> int:
    """Runs until SIGTERM. Logs to the journal where systemd started it, to standard error otherwise."""
    _log()
    return asyncio.run(Supervisor(paths).run())


def _log() -> None:
    handler: logging.Handler = logging.StreamHandler()
    if "JOURNAL_STREAM" in os.environ:
        from systemd import journal

        handler = journal.JournalHandler(SYSLOG_IDENTIFIER="appliance")
    logging.basicConfig(level=logging.INFO, handlers=[handler], format="%(message)s")
