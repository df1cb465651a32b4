"""`appliance supervise`: the loop that events drive, the watchdog's beat, and the answers on the control socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import gc
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from systemd import daemon

from appliance.adapters import memory, systemd
from appliance.adapters.errors import Refused
from appliance.adapters.monitor import Monitor
from appliance.core.codec import to_json
from appliance.core.in_force import SESSION_SECONDS, moved, overdue, replacing
from appliance.core.pair.link import enrolled, with_pair_link
from appliance.core.pair.names import NOT_READY, PAIR_DEVICE, READY_FILE
from appliance.core.plan import Plan, plan, shown
from appliance.core.problems import ConfigurationError
from appliance.core.state import ALONE, Desired, ObservedDevice, Role
from appliance.shell import turns
from appliance.shell.machine import Machine
from appliance.shell.paths import Paths
from appliance.supervisor.bundles import ORIGIN, BundleRefused, Bundles
from appliance.supervisor.bundles import WITHIN_SECONDS as BUNDLE_SECONDS
from appliance.supervisor.compiler import Compiler, keep, kept
from appliance.supervisor.control import ControlSocket
from appliance.supervisor.endpoints import Endpoints
from appliance.supervisor.fetching import Fetching
from appliance.supervisor.journal import Expiries
from appliance.supervisor.keeper import ApplyFailed, Keeper, Look
from appliance.supervisor.last_seen import LastSeen
from appliance.supervisor.networkd import NetworkdWatch
from appliance.supervisor.pair import PairDriver, role_at_start
from appliance.supervisor.proving import after_restart, differs, works
from appliance.supervisor.report import report
from appliance.supervisor.step import Step
from appliance.supervisor.time_floor import LoneClock, known_time, stored_floor
from appliance.supervisor.trials import Trials
from appliance.supervisor.tuning import Tuning
from appliance.supervisor.turns import Turns
from appliance.supervisor.whereabouts import Whereabouts

log = logging.getLogger("appliance.supervisor")

NOT_PAIRED = (
    "failover is not carried out: this box does not know its partner yet, so it runs alone, with its own addresses "
    "only; call `appliance pair invite` here, and `appliance pair join CODE` on the other box"
)
PAIR_AGAIN_SECONDS = 2.0
WITHIN_SECONDS = 90.0
REPLACING_SECONDS = 0.5
"""A new key has its addresses so long after its first handshake, at most; nobody is told of a handshake."""
COALESCE_SECONDS = 0.01
"""Events come in bursts; one look after the burst sees all of it."""


class Supervisor:
    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.machine = Machine(paths)
        self.compiler = Compiler()
        self.endpoints = Endpoints(paths, self._moved)
        self.keeper = Keeper(
            self.machine,
            lambda: self.endpoints.resolved,
            lambda: self.endpoints.outside,
            lambda: known_time(paths),
            alive=_alive,
        )
        self.wake = asyncio.Event()
        self.stop = asyncio.Event()
        self.loaded = asyncio.Event()
        """What is confirmed, and what is on trial, is known."""
        self.moved: dict[str, str] = {}
        self.retry: asyncio.TimerHandle | None = None
        self.refused: tuple[str, ...] = ()
        self.pair: PairDriver | None = None
        self.step: Step | None = None
        self.clock = LoneClock(paths)
        self.tuning = Tuning(paths.root)
        self.networkd = NetworkdWatch()
        self.whereabouts = Whereabouts(paths.whereabouts)
        self.last_seen = LastSeen(paths.last_seen)
        self.taken = asyncio.Event()
        """Another configuration runs."""
        self.uses: dict[str, bool] = {}
        """Which peers used the box's new key at the last beat; only a change is of interest."""
        self.keeper.seen.update(self.whereabouts.known)
        self.trials = Trials(paths, self.keeper, self._compile, self._take, self._give_back, self._ended)
        self.bundles = Bundles(paths, self.machine.keys, self._begin_bundle, lambda: self.trials.confirmed)
        self.fetching = Fetching(lambda: self.pair is None or not self.keeper.role.muted)
        self.expiries = Expiries()
        self.recipient = ""
        self.ready = False
        """Whether systemd was told so."""
        self.newest = 0
        """The last confirmed generation whose trust was looked at."""
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        control = ControlSocket(self.paths.control, self.answer)
        Monitor(self._changed).start()
        self.machine.read_facts()
        self.tuning.look()
        # First, so that whatever is wrong with the rest can be seen and mended.
        await control.start()
        await self._load()
        self.loaded.set()
        if not self._has_partner():
            self.clock.keep()
        await self._repair()
        await self._pair()
        self.trials.resume()
        self.recipient = self.bundles.recipient()
        self.newest = self._generation()
        await self.bundles.load()
        self._attended()
        daemon.notify(f"READY=1\nSTATUS={self._summary()}")
        self.compiler.prepare()
        beat = asyncio.create_task(self._beat())
        # What start-up made lives as long as the process; the collector need not walk it again.
        memory.give_back()
        gc.freeze()
        await self._loop()
        daemon.notify("STOPPING=1")
        if self.pair:
            self.pair.stopping()
        beat.cancel()
        self._note_last_seen()
        self.last_seen.keep()
        self.compiler.stop()
        return 0

    # -- events -------------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        if self.pair:
            self.pair.network_changed()
        self.wake.set()
        self.keeper.note_change()

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
            if self.pair:
                await self.pair.released()
            self.wake.clear()
            self.endpoints.network_changed()
            self.tuning.look()
            self._look_after_networkd()
            await self._repair()

    async def _repair(self) -> None:
        moved, self.moved = self.moved, {}
        again = await self.keeper.repair(moved)
        if self.pair:
            self.pair.repaired()
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
        waiting = False
        while True:
            # Between two beats only while a peer with a name is sent to, or is not answering.
            due = self.endpoints.due()
            pause = seconds if due is None else min(seconds, due + 0.5)
            await self._pause(min(pause, REPLACING_SECONDS) if waiting else pause)
            _alive()
            if not self.pair:
                self.clock.keep()
            self._look_after_networkd()
            try:
                devices = self.machine.devices(self.machine.netlink.links())
                self.keeper.remember(devices)
                self.keeper.traffic.note(devices, time.monotonic())
                waiting = self._peers_in_force(devices)
                seen = self.pair.whereabouts() if self.pair else self.keeper.seen
                self.whereabouts.keep(seen, self._peers())
                self._note_last_seen(devices)
                if self.endpoints.watching:
                    self.endpoints.tick(devices)
            except (Refused, OSError) as error:
                log.warning("%s", error)

    def _note_last_seen(self, devices: dict[str, ObservedDevice] | None = None) -> None:
        if self.keeper.desired is None:
            return
        with contextlib.suppress(Refused, OSError):
            found = self.machine.devices(self.machine.netlink.links()) if devices is None else devices
            self.last_seen.note(self.keeper.desired.tunnels, found)

    def _look_after_networkd(self) -> None:
        """That it gave up on a link, nobody is told: another event, or the beat, finds it."""
        if self.keeper.desired:
            self.networkd.look(self.keeper.desired.uplinks)

    async def _pause(self, seconds: float) -> None:
        """Until the next beat. Where another configuration began to run it may be that a new key is waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.taken.wait()
        self.taken.clear()

    def _peers_in_force(self, devices: dict[str, ObservedDevice]) -> bool:
        """Has the peers looked after that have expired or use a new key; whether more of these is waited for."""
        desired = self.keeper.desired
        if desired is None:
            return False
        at_least = known_time(self.paths)
        self.expiries.look(desired, at_least)
        uses = moved(desired, devices)
        if uses != self.uses or overdue(desired, devices, at_least):
            self.uses = uses
            self.wake.set()
        return replacing(desired, devices, at_least)

    # -- the configuration --------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        try:
            desired = await self.trials.load()
        except ConfigurationError as error:
            self.refused = tuple(problem.line("appliance.yaml") for problem in error.problems)
            for reason in self.refused:
                log.error("the confirmed configuration cannot be used: %s", reason)
            return
        except Refused as error:
            self.refused = (str(error),)
            log.error("%s", error)
            return
        if desired is None:
            log.info("no configuration yet; nothing is forwarded")
            return
        self._use(desired)

    async def _compile(self, content: bytes, sound: Callable[[], None] = lambda: None) -> Desired:
        """What this box should be, with the link to its partner where it knows one. Raises ConfigurationError; calls
        `sound` as soon as it is known that it will not."""
        box = self.paths.box_name()
        found = kept(self.paths.compiled, content, box)
        if found:
            sound()
        return self._paired(found or await self.compiler.compile(content, box, sound))

    def _use(self, desired: Desired | None) -> None:
        """The wish of the configuration that runs; and in a pair that knows its partner, a role."""
        self.keeper.desired = desired
        self.fetching.follow(desired)
        if desired:
            self.endpoints.follow(desired)
        if not self._has_partner():
            self.keeper.role = ALONE
        elif self.pair is None and desired:
            self.keeper.role = role_at_start(self.machine, desired)

    def _paired(self, desired: Desired) -> Desired:
        if desired.pair:
            self.machine.keys.private_key(PAIR_DEVICE)
        return with_pair_link(desired, self.machine.keys.public_keys())

    def _has_partner(self) -> bool:
        desired = self.keeper.desired
        return desired is not None and enrolled(desired, self.machine.keys.public_keys())

    async def _pair(self) -> None:
        """Starts, tells or ends the pair, as the configuration that runs now says."""
        desired = self.keeper.desired
        if desired is None or not self._has_partner():
            self._part()
            return
        if self.pair and not self.pair.serves(desired):
            self._part()
            self.keeper.role = Role(muted=True)
        if self.pair:
            self.pair.configured(desired, self._generation())
            return
        driver = PairDriver(self.paths, self.machine, self.keeper, desired, self.wake.set)
        driver.remembered = self.whereabouts.known
        try:
            await driver.start(desired, self._generation())
            offers = Turns(self.paths, self._busy, self._does, driver.handover)
            step = Step(driver.pair, self.trials, self.machine.keys, self.bundles, offers, driver.partner_hello)
            await step.start()
        except (Refused, OSError) as error:
            driver.close()
            self.keeper.role = Role(muted=True)
            log.error("the pair cannot start: %s; trying again", error)
            asyncio.get_running_loop().call_later(PAIR_AGAIN_SECONDS, self._pair_again)
            return
        self.pair, self.step, self.trials.partner = driver, step, step
        if self.ready:
            driver.attend()
        driver.heard = step.look

    def _attended(self) -> None:
        """What stood in for a supervisor ends (appliance-unattended.service)."""
        if Path(READY_FILE).exists():
            with contextlib.suppress(Refused):
                systemd.stop(systemd.UNATTENDED_UNIT)
        self.ready = True
        if self.pair:
            self.pair.attend()
        elif Path(READY_FILE).exists():
            # keepalived runs, and this supervisor cannot look after it: its file is refused.
            Path(READY_FILE).write_text(f"{NOT_READY}\n")

    def _part(self) -> None:
        """This box stands alone from now on."""
        if self.step:
            self.step.close()
        if self.pair:
            self.pair.close()
        self.pair = self.step = self.trials.partner = None

    def _peers(self) -> set[str]:
        desired = self.keeper.desired
        return {peer.name for tunnel in desired.tunnels for peer in tunnel.peers} if desired else set()

    def _generation(self) -> int:
        return self.trials.confirmed.number if self.trials.confirmed else 0

    def _pair_again(self) -> None:
        task = asyncio.create_task(self._pair())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _summary(self) -> str:
        desired = self.keeper.desired
        if desired is None:
            return "no configuration yet: appliance apply FILE"
        trouble = f"; amiss: {self.keeper.failures[0]}" if self.keeper.failures else ""
        return f"{desired.site}, {desired.box}: {len(desired.tunnels)} tunnels{trouble}"

    # -- the control socket -------------------------------------------------------------------------------------------

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("verb") == "status":
            return {"status": self._status()}
        await self.loaded.wait()
        try:
            match request.get("verb"):
                case "plan":
                    return await self._plan(request)
                case "apply":
                    return await self._apply(request)
                case "confirm":
                    number = await self.trials.confirm(request.get("opened"), str(request.get("who", "")))
                    return {"generation": number}
                case "rollback":
                    return await self._rollback(request)
                case "history":
                    return self._history(request)
                case "handover":
                    return self._handover(bool(request.get("forgive")))
                case "update":
                    return await self._update(request)
                case "bundle":
                    return await self._bundle(request)
                case "invitation":
                    return self._invitation()
                case "enrolled":
                    return await self._enrolled()
                case "repair":
                    # Keys were put back by a command, which nothing else tells of.
                    self.wake.set()
                    return {}
                case other:
                    return {"error": f"the supervisor does not know {other!r}"}
        except ConfigurationError as error:
            return {"problems": [to_json(problem) for problem in error.problems]}
        except BundleRefused as error:
            return {"error": str(error), "refusal": error.refusal}
        except (ApplyFailed, Refused) as error:
            return {"error": str(error)}

    def _status(self) -> dict[str, Any]:
        desired = self.keeper.desired
        observed = self.keeper.observe()
        todo = plan(desired, observed, desired, role=self.keeper.role) if desired else None
        notes = [*self.keeper.failures, *self.keeper.unread, *self.refused, *self.trials.notes]
        if not self.loaded.is_set():
            notes.append("the supervisor is starting")
        others = (self.step.note if self.step else "", self.bundles.note, self.fetching.note)
        notes += [note for note in others if note]
        if desired and desired.pair and not self.pair:
            notes.append(NOT_PAIRED)
        if not self.pair and self.clock.sentence:
            notes.append(self.clock.sentence)
        talking = self.keeper.traffic.both_ways(time.monotonic(), SESSION_SECONDS)
        found = report(
            desired, observed, todo, tuple(notes), self.machine.nft.counters(), talking, self.last_seen.times
        )
        found.update(self.trials.report())
        found["update"] = turns.sentence(self.paths)
        found["applied"] = self.keeper.applied._asdict()
        found["time_floor"] = stored_floor(self.paths) or None
        found["bundles"] = {
            "age_recipient": self.recipient,
            "last": self.bundles.receipt or None,
            "fetch": self.fetching.report(),
        }
        if self.pair:
            found["pair"] = self.pair.report()
            found["role"] = found["pair"]["role"]
        return found

    async def _plan(self, request: dict[str, Any]) -> dict[str, Any]:
        desired = await self._compile(_content(request))
        return shown(self.keeper.plan(desired))

    async def _apply(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._tried(await self.trials.begin(_content(request), **_trial(request)))

    def _tried(self, done: Plan | None) -> dict[str, Any]:
        """The answer to whoever began a trial."""
        answer = {**shown(done or Plan()), **self.trials.report()}
        desired = self.keeper.desired
        if desired and desired.pair and not self.pair:
            answer["warnings"].append(NOT_PAIRED)
        elif self.step and not self.step.present:
            answer["warnings"].append(f"{self.step.name} is not heard; it catches up when it is back")
        return answer

    async def _bundle(self, request: dict[str, Any]) -> dict[str, Any]:
        """A bundle, whoever brought it: only its signatures count."""
        if request.get("address"):
            return {"fetch": self.fetching.report()}
        if "fetched" in request:
            self.fetching.told(bool(request.get("good")), str(request["fetched"]))
            return {}
        box = self.paths.box_name() or (self.keeper.desired.box if self.keeper.desired else "")
        if request.get("judge"):
            return await self.bundles.judge(_content(request), box)
        done = await self.bundles.apply(_content(request), box, unattended=bool(request.get("unattended")))
        return {**done, **self.trials.report()}

    async def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        """What works before an update of the system, or what is missing after it (shell/updating.py); or the pair."""
        pair = self.pair.for_update() if self.pair else None
        if request.get("pair"):
            return {"pair": pair}
        if "facts" in request:
            return {"missing": await after_restart(self.keeper, self.trials.readings, request)}
        if why := self._busy():
            return {"error": why}
        if pair and not request.get("in_turn") and not pair["muted"] and pair["ready"]:
            return {"error": f"this box is master, and {pair['partner']} stands by: first `appliance handover`"}
        facts = works(
            self.keeper, functools.partial(self.trials.readings, lately=True), _trial(request)["administrator"]
        )
        return {
            "facts": [to_json(fact) for fact in facts],
            "differs": differs(self.keeper),
            "configured": self.keeper.desired is not None,
            "muted": self.keeper.role.muted,
            "pair": pair,
        }

    def _busy(self) -> str:
        """Why no update of the system may begin now."""
        if self.trials.trial:
            return "a configuration is on trial; end it first: appliance confirm, or appliance rollback"
        return ""

    async def _does(self, request: dict[str, Any]) -> tuple[str, ...]:
        """What is missing here of the facts that the other box gave up the role with."""
        known = {"differs": differs(self.keeper), "configured": True, "muted": False}
        return await after_restart(self.keeper, self.trials.readings, {**known, **request})

    async def _begin_bundle(self, content: bytes, origin: str) -> Plan | None:
        return await self.trials.begin(content, origin, BUNDLE_SECONDS, auto=True)

    async def _take(
        self, desired: Desired, look: Look | None = None, armed: Callable[[], Awaitable[None]] | None = None
    ) -> Plan:
        """Runs a configuration and follows it from now on, once it is `armed`. Raises ApplyFailed; then the one before
        runs."""
        joining = self.pair is None and enrolled(desired, self.machine.keys.public_keys())
        # Names are asked for from now on, beside the apply; what they need of it (routing) is part of the plan.
        self.endpoints.follow(desired)
        try:
            done = await self.keeper.apply(desired, Role(muted=True) if joining else None, look, armed)
        except ApplyFailed:
            if self.keeper.desired:
                self.endpoints.follow(self.keeper.desired)
            self.wake.set()
            raise
        self.refused = ()
        self.taken.set()
        await self._follow(desired)
        took = round(self.keeper.applied.last_seconds * 1000)
        fields = {"STEPS": len(done.planned), "MILLISECONDS": took, "DIGEST": desired.digest}
        log.info("applied %s in %d ms", desired.digest[:12], took, extra=fields)
        return done

    async def _give_back(self, desired: Desired | None) -> str:
        """Returns to a configuration, or to none. What is amiss afterwards, "" when it was read back whole."""
        if desired:
            self.endpoints.follow(desired)
        joins = desired is not None and enrolled(desired, self.machine.keys.public_keys())
        if not joins:
            self._part()
        role = None if joins and self.pair else Role(muted=True) if joins else ALONE
        trouble = await self.keeper.restore(desired, role)
        await self._follow(desired)
        # A daemon may have yet to read its files, which nothing else tells of.
        self.wake.set()
        return trouble

    async def _follow(self, desired: Desired | None) -> None:
        self._use(desired)
        await self._pair()
        asyncio.get_running_loop().call_later(COALESCE_SECONDS, memory.give_back)
        _tell(f"STATUS={self._summary()}")

    def _ended(self) -> None:
        """A trial has ended: what runs is what is confirmed."""
        confirmed, desired = self.trials.confirmed, self.keeper.desired
        if confirmed and desired and confirmed.digest == desired.digest:
            with contextlib.suppress(Refused):
                keep(self.paths.compiled, confirmed.content, self.paths.box_name(), desired)
            # A trial that was rolled back ends here too, and says nothing about whom to trust.
            new, self.newest = confirmed.number > self.newest, confirmed.number
            if new and not confirmed.origin.startswith(ORIGIN):
                with contextlib.suppress(Refused):
                    self.bundles.applied_by_hand(desired)
            if self.pair:
                self.pair.configured(desired, confirmed.number)

    async def _rollback(self, request: dict[str, Any]) -> dict[str, Any]:
        if expired := request.get("expired"):
            return {"said": await self.trials.expire(str(expired))}
        number = request.get("generation")
        if number is None and self.trials.trial:
            return {"said": await self.trials.roll_back(f"by {request.get('origin', '')}")}
        return self._tried(await self.trials.return_to(number, **_trial(request)))

    def _history(self, request: dict[str, Any]) -> dict[str, Any]:
        number = request.get("generation")
        if number is None:
            return {"history": self.trials.listed()}
        found = self.trials.store.generation(int(number))
        if found is None:
            return {"error": f"generation {number} is not kept here; see `appliance history`"}
        return {"file": base64.b64encode(found.content).decode()}

    def _invitation(self) -> dict[str, Any]:
        """What the other box of the pair is to be given; keys and secrets by name, root reads them (cli/pair.py)."""
        desired, confirmed = self.keeper.desired, self.trials.confirmed
        if desired is None or confirmed is None or self.trials.trial:
            return {"error": "there is no confirmed configuration yet: appliance apply FILE, appliance confirm"}
        if desired.pair is None:
            return {"error": "the configuration has no failover: with two boxes; write it, apply it, and invite again"}
        moving = [tunnel for tunnel in desired.tunnels if tunnel.moves]
        secrets = {peer.preshared_key for tunnel in moving for peer in tunnel.peers if peer.preshared_key}
        secrets |= {session.password for session in desired.sessions}
        return {
            "site": desired.site,
            "box": desired.box,
            "partner": desired.pair.partner,
            "device": desired.pair.device,
            "keys": [tunnel.key for tunnel in moving],
            "secrets": sorted(secrets),
            "file": confirmed.content.decode(),
        }

    async def _enrolled(self) -> dict[str, Any]:
        """The partner's key is here: the box becomes one of two."""
        desired = self.keeper.desired
        if desired is None or desired.pair is None:
            return {"error": "the configuration has no failover: any more"}
        async with self.trials.lock:
            await self._take(self._paired(desired))
        return {}

    def _handover(self, forgive: bool) -> dict[str, Any]:
        if self.pair is None:
            return {"error": "this box stands alone: there is nobody to hand the role to"}
        trouble = self.pair.handover(forgive)
        return {"trouble": trouble, "pair": self.pair.report()}


def _tell(words: str) -> None:
    """To systemd (sd_notify(3)). A word that is lost is no harm, and must not keep a step from being taken back: where
    the kernel has no memory for it, the library raises."""
    with contextlib.suppress(OSError, MemoryError):
        daemon.notify(words)


def _alive() -> None:
    """systemd ends whoever does not say so for WatchdogSec."""
    _tell("WATCHDOG=1")


def _trial(request: dict[str, Any]) -> dict[str, Any]:
    """How a trial is asked for."""
    by = request.get("administrator")
    return {
        "origin": str(request.get("origin", "")),
        "within": float(request.get("within", WITHIN_SECONDS)),
        "auto": request.get("confirm") == "auto",
        "administrator": (str(by[0]), int(by[1])) if by else None,
    }


def _content(request: dict[str, Any]) -> bytes:
    return base64.b64decode(str(request["file"]))


def supervise(paths: Paths) -> int:
    """Runs until SIGTERM. Logs to the journal where systemd started it, to standard error otherwise."""
    _log()
    return asyncio.run(Supervisor(paths).run())


def _log() -> None:
    # A line that the journal does not take is lost; it is no reason to print a traceback.
    logging.raiseExceptions = False
    handler: logging.Handler = logging.StreamHandler()
    if "JOURNAL_STREAM" in os.environ:
        from systemd import journal

        handler = journal.JournalHandler(SYSLOG_IDENTIFIER="appliance")
    logging.basicConfig(level=logging.INFO, handlers=[handler], format="%(message)s")
