"""Trials: a configuration runs, proves itself, and is confirmed, or the last confirmed one returns.

What a boot loads is the last confirmed generation, so a power cut during a trial is the rollback. The deadline is
armed in systemd (a transient timer on the monotonic clock) before the first step runs: it holds whatever becomes of
this process, and if this process does not answer it, it is killed and begins anew with what is confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from appliance import __version__
from appliance.adapters import systemd
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.adapters.generation_store import GenerationStore
from appliance.core.codec import from_json, to_json
from appliance.core.generations import CONFIRMED, ROLLED_BACK, Ending, Generation
from appliance.core.plan import Plan
from appliance.core.problems import ConfigurationError
from appliance.core.proof import Expected, Fact, Readings, expected, worked
from appliance.core.state import Desired, Observed
from appliance.shell import proof
from appliance.shell.paths import Paths
from appliance.supervisor.arming import Arming, arm
from appliance.supervisor.keeper import ApplyFailed, Keeper, Look
from appliance.supervisor.proving import LOOK_SECONDS, look

log = logging.getLogger("appliance.trials")

PROOF_SECONDS = 25.0
"""A peer that answers nothing else answers a packet within 10 s (KEEPALIVE_TIMEOUT), after a lost handshake in 15."""
GLANCE_SECONDS = 0.5
"""How long an administrator's `apply` waits for the proof before it shows what there is of it."""
PARTNER_GRACE_SECONDS = 15.0
"""The partner's deadline is so much later: the box at which the trial began decides."""

type Compile = Callable[[bytes, Callable[[], None]], Awaitable[Desired]]
type Take = Callable[[Desired, Look, Callable[[], Awaitable[None]]], Awaitable[Plan]]


class Partner(Protocol):
    """The other box of the pair, as a trial needs it (supervisor/step.py)."""

    name: str

    @property
    def present(self) -> bool: ...
    @property
    def generation(self) -> int: ...
    @property
    def digest(self) -> str:
        """Of the file that it runs."""

    async def begin(self, generation: Generation, desired: Desired) -> None:
        """Has it try the generation. Raises ApplyFailed with its reason."""

    async def unproven(self, trial: str) -> tuple[str, ...]: ...
    async def end(self, trial: str, confirm: bool, why: str) -> None: ...


@dataclass(slots=True)
class Trial:
    """`started` is on the clock of process starts (CLOCK_BOOTTIME), `deadline` monotonic.

    `wanted` must work again, `shown` was seen to.
    """

    generation: Generation
    started: float
    deadline: float
    wanted: Expected
    shown: set[Fact] = field(default_factory=set)
    administrator: tuple[str, int] | None = None
    joint: bool = False

    @property
    def unproven(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in self.wanted.facts if fact not in self.shown)


class Trials:
    """The one door through which a configuration becomes the box's.

    `compile` makes bytes a wish, and tells when it is sure that it can; `take` runs one and follows it, its first step
    after what it is given to wait for; `give_back` returns to one (None: to no configuration) and says what is amiss;
    `ended` is called after each trial.
    """

    def __init__(
        self,
        paths: Paths,
        keeper: Keeper,
        compile: Compile,
        take: Take,
        give_back: Callable[[Desired | None], Awaitable[str]],
        ended: Callable[[], None],
    ) -> None:
        self.paths = paths
        self.keeper = keeper
        self.compile = compile
        self.take = take
        self.give_back = give_back
        self.ended = ended
        self.store = GenerationStore(paths.generations)
        self.confirmed: Generation | None = None
        self.trial: Trial | None = None
        self.current: Desired | None = None
        """What the confirmed generation means for this box, when it is known."""
        self.partner: Partner | None = None
        self.proving: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()
        self.notes: tuple[str, ...] = ()

    # -- starting -----------------------------------------------------------------------------------------------------

    async def load(self) -> Desired | None:
        """What is to run now: the confirmed generation, or the trial that ran when a supervisor before this ended.

        Raises ConfigurationError.
        """
        self.confirmed = self.store.confirmed()
        amiss = [*self.store.damaged.values(), *self.store.newer.values()]
        if amiss:
            used = f"generation {self.confirmed.number} is used" if self.confirmed else "there is none before it"
            self.notes = tuple(f"{each}; {used}" for each in amiss if each.startswith("gener"))
        tried = self.store.trial()
        noted = self._noted(tried) if tried else None
        if tried and noted:
            with contextlib.suppress(ConfigurationError, Refused):
                desired = await self.compile(tried.content, _nothing)
                self.trial = self._resumed(tried, noted, desired)
                log.info("generation %d is still on trial", tried.number)
                return desired
        if tried:
            same = tried.boot == boot_id()
            if same:
                systemd.disarm_trial()
            why = "the supervisor ended while it was being applied" if same else "the box was started again meanwhile"
            self._forget(tried, ROLLED_BACK, why)
        return await self._last()

    def _noted(self, tried: Generation) -> dict[str, Any] | None:
        """What /run says of the trial; None when it was not complete, or its time is over."""
        try:
            noted = dict(json.loads(self.paths.trial.read_text()))
            mine = noted["trial"] == tried.trial and tried.boot == boot_id()
            return noted if mine and noted["deadline"] > time.monotonic() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _resumed(self, tried: Generation, noted: dict[str, Any], desired: Desired) -> Trial:
        facts = tuple(from_json(Fact, each) for each in noted["facts"])
        shown = {from_json(Fact, each) for each in noted["shown"]}
        by = noted["administrator"]
        administrator = (str(by[0]), int(by[1])) if by else None
        wanted = expected(facts, desired)
        return Trial(tried, noted["started"], noted["deadline"], wanted, shown, administrator, noted["joint"])

    def resume(self) -> None:
        """The trial that was loaded runs: its proof goes on, and its deadline stands even if somebody disarmed it."""
        trial = self.trial
        if trial is None:
            return
        if not systemd.trial_armed():
            with contextlib.suppress(Refused):
                name = trial.generation.trial
                arm(name, max(1.0, trial.deadline - time.monotonic()))
        self._prove()

    def _note(self) -> None:
        """Notes the trial in /run, for a supervisor that is started again."""
        trial = self.trial
        if trial is None:
            self.paths.trial.unlink(missing_ok=True)
            return
        data = {
            "trial": trial.generation.trial,
            "started": trial.started,
            "deadline": trial.deadline,
            "facts": [to_json(fact) for fact in trial.wanted.facts],
            "shown": [to_json(fact) for fact in trial.shown],
            "administrator": trial.administrator,
            "joint": trial.joint,
        }
        with contextlib.suppress(Refused):
            write_whole(self.paths.trial, json.dumps(data).encode(), 0o600)

    # -- a trial ------------------------------------------------------------------------------------------------------

    async def begin(
        self,
        content: bytes,
        origin: str,
        within: float,
        *,
        auto: bool = False,
        administrator: tuple[str, int] | None = None,
        given: Generation | None = None,
        alone: bool = False,
    ) -> Plan | None:
        """Tries a configuration. None: it runs already and is confirmed; nothing was to do.

        `auto` confirms on full proof, and otherwise goes back. `given` is the trial of the partner that this box is to
        join in; `alone` leaves the partner out. Raises ConfigurationError, ApplyFailed or Refused: then everything is
        as before.
        """
        async with self.lock:
            if self.trial:
                left = self.trial.deadline - time.monotonic()
                raise ApplyFailed(
                    f"generation {self.trial.generation.number} is on trial, for {left:.0f} s more; "
                    f"end it first: appliance confirm, or appliance rollback"
                )
            trial = given.trial if given else secrets.token_hex(8)
            arming = Arming(
                self.store, trial, within, lambda: given or self._generation(content, origin, within, trial)
            )
            digest = hashlib.sha256(content).hexdigest()
            same = given is None and self.confirmed is not None and digest == self.confirmed.digest
            if same and not alone and self.partner and self.partner.present and self.partner.digest != digest:
                # Both were changed apart. Whose file is applied again, that is meant for both: a newer generation.
                same = False
            try:
                if not same:
                    arming.arm()
                desired, look = await self._compiled(content, _nothing if same else arming.write)
                if given and desired.pair is None:
                    raise ApplyFailed("it is not for a pair; apply it here if this box is to stand alone")
                if same and not self.keeper.plan(desired, look):
                    self.store.forget_damaged()
                    self.notes = ()
                    return None
                partner = self._joining(desired, given, alone)
                plan = await self._try(arming, desired, partner, administrator, look)
            except BaseException:
                await arming.take_back()
                raise
            if self.trial and given and not auto:
                self.trial.joint = True
                self._note()
            if not plan and given is None and not partner:
                await self._confirm("it changes nothing")
                return plan
        if auto:
            await self._decide()
        elif given is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GLANCE_SECONDS):
                    await self._proved()
        return plan

    async def _compiled(self, content: bytes, sound: Callable[[], None]) -> tuple[Desired, Look]:
        """What the bytes mean, and how the machine is: it is read while another process compiles."""
        compiling = asyncio.ensure_future(self.compile(content, sound))
        # So that the other process has its work before this one goes about its own.
        await asyncio.sleep(0)
        try:
            look = self.keeper.look()
        finally:
            desired = await compiling
        return desired, look

    def _joining(self, desired: Desired, given: Generation | None, alone: bool) -> Partner | None:
        """The partner, when the new configuration is for both and it is there."""
        here = self.partner
        return here if here and desired.pair and here.present and given is None and not alone else None

    def _generation(self, content: bytes, origin: str, within: float, trial: str) -> Generation:
        number = max(self.store.next_number(), self.partner.generation + 1 if self.partner else 0)
        return Generation(number, content, origin, time.time(), boot_id(), within, trial, __version__)

    def _before(self, administrator: tuple[str, int] | None, observed: Observed) -> tuple[Fact, ...]:
        desired = self.keeper.desired
        if desired is None:
            return ()
        return worked(desired, self.readings(observed, administrator, True), administrator, self.keeper.role.muted)

    def readings(self, observed: Observed, administrator: tuple[str, int] | None, lately: bool = False) -> Readings:
        """What the box sees now; `lately`: also what answered some time ago."""
        address = administrator[0] if administrator else ""
        present = self.partner is not None and self.partner.present
        return proof.read(self.keeper.machine, observed, address, present, lately)

    async def _try(
        self,
        arming: Arming,
        desired: Desired,
        partner: Partner | None,
        administrator: tuple[str, int] | None,
        look: Look,
    ) -> Plan:
        """The backup first; whoever fails, both are as before."""
        generation = arming.generation
        first = partner is not None and not self.keeper.role.muted
        look = self.keeper.still(look)
        facts = self._before(administrator, look.observed)
        now = time.monotonic()
        if partner and first:
            await arming.done()
        try:
            if partner and first:
                await partner.begin(generation, desired)
            plan = await self.take(desired, look, arming.done)
            if partner and not first:
                await self._partner_after(partner, generation, desired)
        except ApplyFailed as error:
            if partner and first:
                await partner.end(generation.trial, False, str(error))
            raise
        except Exception:
            log.exception("a trial met an error of its own")
            trouble = await self.give_back(await self._last()) or "the configuration before runs again"
            raise ApplyFailed(f"the supervisor met an error of its own (see its journal); {trouble}") from None
        self.trial = Trial(
            generation=generation,
            started=time.clock_gettime(time.CLOCK_BOOTTIME),
            deadline=now + generation.within,
            wanted=expected(facts, desired),
            administrator=administrator,
            joint=partner is not None,
        )
        self._note()
        self._prove()
        fields = {"GENERATION": generation.number, "OUTCOME": "on trial", "ORIGIN": generation.origin}
        log.info("generation %d runs on trial for %.0f s", generation.number, generation.within, extra=fields)
        return plan

    async def _partner_after(self, partner: Partner, generation: Generation, desired: Desired) -> None:
        try:
            await partner.begin(generation, desired)
        except ApplyFailed as error:
            trouble = await self.give_back(await self._last())
            raise ApplyFailed(f"{error}; {trouble or 'the configuration before runs again'}") from None

    # -- the proof ----------------------------------------------------------------------------------------------------

    def _prove(self) -> None:
        if self.proving:
            self.proving.cancel()
        self.proving = asyncio.create_task(self._look())

    async def _proved(self) -> None:
        if self.proving:
            await asyncio.shield(self.proving)

    async def _look(self) -> None:
        """Provokes answers and looks for them until all is proven; ends with the trial at the latest."""
        trial = self.trial
        if trial is None:
            return

        def missing() -> tuple[Fact, ...]:
            return trial.unproven if trial is self.trial else ()

        def seen(news: set[Fact]) -> None:
            trial.shown |= news
            self._note()

        await look(self.keeper, self.readings, trial.wanted, trial.administrator, missing, seen)

    async def _decide(self) -> None:
        """Confirms on full proof; otherwise goes back. Raises ApplyFailed with what is not proven."""
        trial = self.trial
        if trial is None:
            return
        left = max(0.0, min(PROOF_SECONDS, trial.deadline - time.monotonic() - 1.0))
        missing: tuple[str, ...] = ("that it runs",)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._proved()
                while missing:
                    missing = await self._partner_misses(trial)
                    await asyncio.sleep(LOOK_SECONDS if missing else 0)
        async with self.lock:
            if self.trial is not trial:
                raise ApplyFailed("the trial was ended meanwhile; see `appliance history`")
            own = tuple(str(fact) for fact in trial.unproven)
            if not own and not missing:
                await self._confirm("everything that worked before works")
                return
            why = f"not seen any more: {'; '.join(own or missing)}"
            raise ApplyFailed(f"{why}; {await self._roll_back(why)}")

    async def _partner_misses(self, trial: Trial) -> tuple[str, ...]:
        return await self.partner.unproven(trial.generation.trial) if trial.joint and self.partner else ()

    # -- its end ------------------------------------------------------------------------------------------------------

    async def confirm(self, opened: float | None, who: str = "") -> int:
        """An administrator confirms; returns the generation's number. `opened`: when his session began, on the
        clock of process starts (CLOCK_BOOTTIME).

        Raises ApplyFailed when there is nothing to confirm, or when his session proves nothing.
        """
        async with self.lock:
            trial = self.trial
            if trial is None:
                raise ApplyFailed("nothing is on trial; see `appliance history`")
            if opened is not None and opened < trial.started:
                raise ApplyFailed(
                    "this session is older than the change, so it does not show that you still get in; "
                    "open another one (a new ssh connection) and confirm there"
                )
            await self._confirm(f"by {who}" if who else "")
            return trial.generation.number

    async def roll_back(self, why: str) -> str:
        """Ends the trial. Returns "" or a sentence. Raises ApplyFailed when nothing is on trial."""
        async with self.lock:
            if self.trial is None:
                raise ApplyFailed("nothing is on trial; `appliance rollback N` returns to a generation")
            return await self._roll_back(why)

    async def return_to(self, number: int | None, origin: str, within: float, **how: Any) -> Plan | None:
        """Tries a generation that is kept, None: the one before the confirmed. Raises like `begin`."""
        if number is None:
            before = [each for each in self.store.numbers() if self.confirmed and each < self.confirmed.number]
            if not before:
                raise ApplyFailed("there is no generation before this one; see `appliance history`")
            number = before[0]
        found = self.store.generation(number)
        if found is None and f"{number:06}" in self.store.newer:
            raise ApplyFailed(self.store.newer[f"{number:06}"])
        if found is None:
            raise ApplyFailed(f"generation {number} is not kept here; see `appliance history`")
        return await self.begin(found.content, f"{origin}, back to generation {number}", within, **how)

    async def expire(self, trial: str) -> str:
        """The deadline of the trial has come; a deadline of another one is nobody's."""
        async with self.lock:
            if self.trial is None or self.trial.generation.trial != trial:
                return "this trial is over"
            return await self._roll_back(f"not confirmed within {self.trial.generation.within:.0f} s")

    async def told(self, trial: str, confirm: bool, why: str) -> None:
        """The partner has ended the trial that both are in."""
        async with self.lock:
            if self.trial and self.trial.generation.trial == trial:
                if confirm:
                    await self._confirm(why, tell=False)
                else:
                    await self._roll_back(why, tell=False)

    async def _confirm(self, why: str, tell: bool = True) -> None:
        trial = self.trial
        assert trial is not None
        self.store.confirm(trial.generation.number)
        self.confirmed, self.current = trial.generation, trial.wanted.desired
        self.notes = ()
        self._end(trial, CONFIRMED, why)
        if tell and trial.joint and self.partner:
            await self.partner.end(trial.generation.trial, True, why)

    async def _roll_back(self, why: str, tell: bool = True) -> str:
        """Says what runs now; never that something does which was not read back."""
        trial = self.trial
        assert trial is not None
        log.warning("generation %d goes back: %s", trial.generation.number, why)
        partner = self.partner if tell and trial.joint else None
        telling = asyncio.create_task(partner.end(trial.generation.trial, False, why)) if partner else None
        trouble = await self.give_back(await self._last())
        self._end(trial, ROLLED_BACK, f"{why}{f' (not complete: {trouble})' if trouble else ''}")
        if telling:
            await telling
        if trouble:
            return f"going back is not complete yet: {trouble}"
        if self.confirmed is None:
            return "the box has no configuration, as before"
        return f"generation {self.confirmed.number} runs again"

    async def _last(self) -> Desired | None:
        if self.confirmed is None:
            return None
        if self.current is None or self.current.digest != self.confirmed.digest:
            self.current = await self.compile(self.confirmed.content, _nothing)
        return self.current

    def _end(self, trial: Trial, outcome: str, why: str) -> None:
        self.trial = None
        if self.proving:
            self.proving.cancel()
            self.proving = None
        systemd.disarm_trial()
        self._note()
        self._forget(trial.generation, outcome, why)
        self.ended()

    def _forget(self, generation: Generation, outcome: str, why: str) -> None:
        self.trial = None
        if outcome != CONFIRMED:
            self.store.discard()
        ending = Ending(
            generation.number, generation.digest, generation.origin, generation.applied, time.time(), outcome, why
        )
        try:
            self.store.record(ending)
        except Refused as error:
            log.warning("%s", error)
        fields = {"GENERATION": generation.number, "OUTCOME": outcome, "ORIGIN": generation.origin}
        log.info("generation %d: %s%s", generation.number, outcome, f" ({why})" if why else "", extra=fields)

    # -- telling ------------------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """For `status`."""
        history = self.store.history()
        last = history[-1] if history and history[-1].outcome != CONFIRMED else None
        return {
            "generation": self.confirmed.number if self.confirmed else None,
            "trial": self._trial_report(),
            "last_rollback": to_json(last) if last else None,
        }

    def _trial_report(self) -> dict[str, Any] | None:
        trial = self.trial
        if trial is None:
            return None
        return {
            "generation": trial.generation.number,
            "origin": trial.generation.origin,
            "seconds_left": round(max(0.0, trial.deadline - time.monotonic()), 1),
            "works": sorted(str(fact) for fact in trial.shown),
            "not_seen_yet": [str(fact) for fact in trial.unproven],
            "both_boxes": trial.joint,
        }

    def listed(self) -> list[dict[str, Any]]:
        """For `history`: how trials ended, oldest first, and which generations can be returned to."""
        kept = set(self.store.numbers())
        current = self.confirmed.number if self.confirmed else 0
        rows = [
            {**to_json(each), "kept": each.number in kept and each.outcome == CONFIRMED, "runs": False}
            for each in self.store.history()
        ]
        for row in reversed(rows):
            if row["number"] == current and row["outcome"] == CONFIRMED:
                row["runs"] = True
                break
        return rows


def _nothing() -> None:
    pass


def boot_id() -> str:
    """Names this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
