"""One box's state, and what it has decided to do since it was last asked."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.pair.names import HELD, READY
from appliance.core.state import Lease
from appliance.core.takeover.actions import Action, Note, SetKeepalive, StepClock, TellPartner
from appliance.core.takeover.calls import Calls
from appliance.core.takeover.events import MASTER, Peer
from appliance.core.takeover.floor import Floor
from appliance.core.takeover.hello import ACTIVE, BOOT, STANDBY, YIELDING, Hello
from appliance.core.takeover.losses import Losses
from appliance.core.takeover.partner import Partner
from appliance.core.takeover.report import Phases
from appliance.core.takeover.table import Table
from appliance.core.takeover.timers import Timers
from appliance.core.takeover.uplinks import Uplinks


class Box:
    """Times are monotonic; None where nothing is waited for."""

    def __init__(
        self, name: str, incarnation: str, preferred: bool, timers: Timers, redials: bool, begins: bool, holds: bool
    ) -> None:
        self.name = name
        self.incarnation = incarnation
        self.preferred = preferred
        self.begins = begins
        self.holds = holds
        self.redials = redials
        self.timers = timers
        self.now = 0.0
        self.out: list[Action] = []
        self.notes: dict[str, str] = {}

        self.partner = Partner()
        self.table = Table(timers)
        self.floor = Floor(timers)
        self.losses = Losses(timers)
        self.peers: dict[str, Peer] = {}
        self.digest = ""
        self.generation = 0

        # The role.
        self.muted = True
        self.epoch = 0
        self.held = 0
        self.adopting_until: float | None = None
        self.settled = True
        self.since = 0.0
        self.why = "it has just started"
        self.master_at: float | None = None
        self.promoted_at: float | None = None
        self.shaken_at: float | None = None
        self.judged_at = 0.0
        """What the partner did as master after this is news; before it the peers were called, or never lost."""
        self.began: float | None = None
        self.yielding_at: float | None = None
        self.torn = False
        self.suspect_until: float | None = None
        self.asked = 0
        self.met = 0.0

        # keepalived.
        self.vrrp = ""
        self.boot_until: float | None = float("inf")
        """Until the supervisor has started, for ever."""
        self.orphan_until: float | None = None
        self.keep_at: float | None = None
        self.parked = False
        self.probe_at: float | None = None
        self.probe_every = timers.probe
        self.probing_until: float | None = None
        self.restart_at: float | None = None
        self.restart_after = timers.restart
        self.alive_at: float | None = None
        self.returns_at = 0.0
        """No sooner a preferred box asks for the role that it lost."""
        self.vain: list[float] = []
        """When this box was elected although the partner was there, and elected too."""
        self.elected_at: float | None = None
        self.stranger_until: float | None = None
        self.masterless_at: float | None = None
        """When it will be said that neither box is master."""

        # Readiness.
        self.said: int | None = None
        """The number that keepalived was told last; None where it has to be told anew."""
        self.uplinks = Uplinks(timers)
        self.synced_epoch = -1
        self.connections_until: float | None = None
        self.partner_was_active = False
        self.given_away = False
        self.handover_until: float | None = None
        self.able = False
        self.lost_links: tuple[str, ...] = ()
        self.listens_until = 0.0
        """Until then it may have missed the partner's adverts; for ever while it has no link to hear them on."""
        self.step_down_at: float | None = None
        self.stepping_down_until: float | None = None

        # The leases of the master's uplinks, with what was left of them at that time.
        self.leases: tuple[Lease, ...] = ()
        self.leases_at = 0.0
        self.sessions: dict[str, int] | None = None
        """The PPPoE sessions that are up here, by uplink; None before the first look of a box at work already."""

        # The takeover.
        self.calls = Calls(timers)
        self.phases: Phases | None = None
        self.takeovers = 0
        self.raised: set[str] = set()
        self.hold_until: float | None = None
        self.read_at: float | None = None

        self.clock_at = 0.0
        """No sooner the clock is set again while nothing happens."""

        # Talking.
        self.sequence = 0
        self.hello_at: float | None = None
        self.redial_at: float | None = None
        self.redial_after = timers.redial

    @property
    def role(self) -> str:
        if not self.muted:
            return ACTIVE
        if self.boot_until is not None:
            return BOOT
        return YIELDING if self.vrrp == MASTER else STANDBY

    @property
    def is_ready(self) -> bool:
        """Whether keepalived was told so."""
        return self.said in (READY, HELD)

    def do(self, *actions: Action) -> None:
        self.out += actions

    def note(self, topic: str, text: str) -> None:
        """Once, until it says something else."""
        if self.notes.get(topic, "") != text:
            self.notes[topic] = text
            self.do(Note(topic, text))

    def step_clock(self) -> None:
        """A clock that is not synchronised is set to the floor, which the partner knows better than the disk."""
        if self.boot_until is not None and self.now < self.boot_until and not self.partner.alive:
            return
        step = self.floor.step(self.now)
        if step is not None:
            self.clock_at = self.now + self.timers.clock
            self.do(StepClock(step))

    def held_leases(self) -> tuple[Lease, ...]:
        """Those that hold at this moment, with the seconds that are left."""
        past = self.now - self.leases_at
        return tuple(replace(each, seconds=each.seconds - past) for each in self.leases if each.seconds > past + 1)

    def note_clock(self) -> None:
        self.note("clock", self.floor.sentence(self.now))

    def became(self, why: str) -> None:
        self.since, self.why = self.floor.wall(self.now), why

    def set_keepalives(self, wanted: dict[str, int]) -> None:
        """Peers to seconds; one action for each value."""
        for seconds in sorted(set(wanted.values())):
            names = tuple(name for name, each in wanted.items() if each == seconds)
            self.do(SetKeepalive(names, seconds))
            self.raised = self.raised.difference(names) if seconds == 0 else self.raised.union(names)

    def tell(self, ask: bool = False) -> None:
        hello = self.hello()
        if ask:
            hello = replace(hello, ask=True)
            self.asked = hello.sequence
        self.do(TellPartner(hello))
        hurried = self.partner.alive and hello.until < self.table.version
        self.hello_at = self.now + (self.timers.hurry if hurried else self.timers.hello)

    def hello(self) -> Hello:
        now, heard = self.now, self.partner.hello
        self.sequence += 1
        if not self.muted:
            self.floor.use(now)
        since = self.partner.version
        entries, until = self.table.newer(since, now) if heard else ((), since)
        return Hello(
            box=self.name,
            incarnation=self.incarnation,
            sequence=self.sequence,
            role=self.role,
            epoch=self.epoch,
            held=self.held,
            master_for=now - self.master_at if self.master_at is not None else 0.0,
            promoted_ago=now - self.promoted_at if self.promoted_at is not None else -1.0,
            shaken_ago=now - self.shaken_at if self.shaken_at is not None else -1.0,
            digest=self.digest,
            generation=self.generation,
            floor=self.floor.known,
            clock=self.floor.wall(now) if self.floor.trusted else 0.0,
            ready=self.able,
            handing_over=self.handover_until is not None,
            heard_incarnation=heard.incarnation if heard else "",
            heard=heard.sequence if heard else 0,
            uplinks=self.uplinks.living(now),
            lost_links=len(self.lost_links),
            losses=self.losses.ages(now),
            version=self.table.version,
            since=since,
            until=until,
            entries=entries,
            leases=self.held_leases() if not self.muted else (),
        )
