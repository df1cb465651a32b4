"""The takeover of one box: events in, actions out. It has no clock, and asks for a Tick at `next_deadline`."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.takeover import contest, leases, life, links, readiness, redial, role
from appliance.core.takeover import events as e
from appliance.core.takeover.actions import Action, SetEndpoints, WriteFloor
from appliance.core.takeover.box import Box
from appliance.core.takeover.hello import Hello
from appliance.core.takeover.report import PartnerReport, Report
from appliance.core.takeover.timers import Timers


class Machine:
    """Best told ConfigurationChanged before Started: then a box that is master already knows whom to call.

    `incarnation` is to be another one at each start of the supervisor; `preferred`: `failover.prefer` names it;
    `redials`: true for one of the two boxes. `begins`, `holds`: as in state.Pair.
    """

    def __init__(
        self,
        box: str,
        incarnation: str,
        preferred: bool = False,
        timers: Timers | None = None,
        redials: bool = False,
        begins: bool = False,
        holds: bool = False,
    ) -> None:
        self.box = Box(box, incarnation, preferred, timers or Timers(), redials, begins or preferred, holds)

    def handle(self, event: e.Event) -> tuple[Action, ...]:
        """What is to be done now, in this order. Time never runs backwards here."""
        box = self.box
        late = self._late(event.now)
        box.now = max(box.now, event.now)
        if late and not isinstance(event, e.Stalled):
            # Hellos may wait in the socket: what was not read is not silence.
            box.partner.heard_at += late
        self._dispatch(event)
        self._due()
        actions, box.out = tuple(box.out), []
        return actions

    @property
    def next_deadline(self) -> float | None:
        """When to handle a Tick, in monotonic seconds. None before Started."""
        box = self.box
        if box.hello_at is None:
            return None
        times = [
            box.hello_at,
            box.boot_until,
            box.adopting_until,
            box.orphan_until,
            box.keep_at,
            box.restart_at,
            box.suspect_until,
            box.handover_until,
            box.step_down_at,
            box.stepping_down_until,
            box.listens_until,
            box.hold_until,
            box.read_at,
            box.redial_at,
            box.uplinks.ask_at,
            box.stranger_until,
            box.masterless_at,
            box.connections_until,
            box.probe_at,
            box.probing_until,
            box.yielding_at + box.timers.park if box.yielding_at is not None else None,
            box.partner.heard_at + box.timers.gone if box.partner.alive else None,
            box.calls.deadline,
        ]
        # Whatever is overdue waits for something else, and is looked at again with the next hello at the latest.
        return min(at for at in times if at is not None and at > box.now)

    def hello(self) -> Hello:
        """The box's state for the partner; each call counts as another hello."""
        return self.box.hello()

    def whereabouts(self, now: float) -> dict[str, str]:
        """Where the peers with a session are, as far as this box knows, master or not."""
        box = self.box
        return box.table.endpoints(box.table.lately(box.peers, now))

    def report(self) -> Report:
        box, heard = self.box, self.box.partner.hello
        partner = None
        if heard:
            ahead = max((heard.generation, heard.box), (box.generation, box.name))[1]
            partner = PartnerReport(
                box=heard.box,
                alive=box.partner.alive,
                heard_ago=box.now - box.partner.heard_at,
                role=heard.role,
                epoch=heard.epoch,
                ready=heard.ready,
                in_step=heard.digest == box.digest,
                ahead=ahead if heard.generation != box.generation else "",
            )
        return Report(
            box=box.name,
            role=box.role,
            vrrp=box.vrrp,
            since=box.since,
            why=box.why,
            epoch=box.epoch,
            muted=box.muted,
            ready=box.is_ready,
            not_ready=readiness.shown(box),
            partner=partner,
            dead_uplinks=box.uplinks.dead(),
            living_uplinks=tuple(living.name for living in box.uplinks.living(box.now)),
            takeovers=box.takeovers,
            takeover=role.phases(box),
            notes=tuple(text for text in box.notes.values() if text),
        )

    def _late(self, now: float) -> float:
        """Seconds by which the supervisor missed a deadline, when that is more than the wait for a hello allows."""
        deadline = self.next_deadline
        late = now - deadline if deadline is not None else 0.0
        return late if late > self.box.timers.hello else 0.0

    def _dispatch(self, event: e.Event) -> None:
        box = self.box
        match event:
            case e.Started():
                life.started(box, event)
            case e.Vrrp(state=state):
                life.vrrp(box, state)
            case e.MasterSeenLowerPriority():
                contest.lower_priority_seen(box)
            case e.KeepalivedStarted():
                life.keepalived_started(box)
            case e.KeepalivedDied():
                life.keepalived_died(box)
            case e.PartnerHello(hello=hello):
                contest.heard(box, hello)
            case e.PartnerForeign(schema=schema):
                contest.foreign(box, schema)
            case e.StrangerAdvert(network=network, source=source, router_id=router_id):
                life.stranger(box, network, source, router_id)
            case e.PartnerGone():
                contest.gone(box)
            case e.Handshake(peer=peer):
                if not box.muted:
                    box.table.shaken(peer, box.now)
                    role.answered(box, [peer])
            case e.PeersRead(readings=readings):
                names = {name: reading for name, reading in readings.items() if name in box.peers}
                role.answered(box, box.table.read(names, box.now, box.floor.wall(box.now), box.began))
            case e.EngineStarted(tunnel=tunnel):
                role.engine_started(box, tunnel)
            case e.Committed():
                role.release(box)
                self._phase("committed")
            case e.Unmuted():
                self._phase("unmuted")
            case e.ConnectionsReceived():
                box.connections_until = None
                box.note("connections", "")
            case e.LeasesRead(leases=found):
                leases.read(box, found)
            case e.LinksRead(lost=lost, heard=heard, deaf=deaf):
                links.listen(box, deaf)
                links.read(box, lost, heard)
            case e.UplinksRead(answers=answers, learned=learned, sessions=sessions):
                box.uplinks.read({**answers, **leases.sessions_up(box, sessions)}, learned, sessions)
            case e.ConfigurationChanged():
                self._configured(event)
            case e.HandoverAsked(forgive=forgive):
                self._handover(forgive)
            case e.Clock(wall=wall, trusted=trusted, now=now, stuck=stuck):
                box.floor.clock(wall, trusted, now)
                box.floor.stuck = stuck
                box.note_clock()
            case e.Stalled(seconds=seconds):
                contest.stalled(box, seconds)
            case e.Tick():
                pass

    def _due(self) -> None:
        box = self.box
        if box.hello_at is None:
            return
        if box.partner.alive and box.now >= box.partner.heard_at + box.timers.gone:
            contest.gone(box)
        redial.due(box)
        contest.suspicion_due(box)
        role.adopt_due(box)
        life.boot_due(box)
        life.due(box)
        links.due(box)
        if box.hold_until is not None and box.now >= box.hold_until:
            role.release(box)
        if not box.muted:
            role.proceed(box)
            role.read_due(box)
        readiness.ask_due(box)
        readiness.due(box)
        readiness.settle(box)
        if box.now >= box.hello_at:
            if box.now >= box.clock_at:
                box.step_clock()
            floor = box.floor.write(box.now)
            if floor is not None:
                box.do(WriteFloor(floor))
            box.tell()

    def _phase(self, name: str) -> None:
        """The first time counts: a repeated answer belongs to something else."""
        box = self.box
        if box.phases and box.master_at is not None and getattr(box.phases, name) is None:
            took = box.now - box.master_at
            committed = took if name == "committed" else box.phases.committed
            unmuted = took if name == "unmuted" else box.phases.unmuted
            box.phases = replace(box.phases, committed=committed, unmuted=unmuted)

    def _configured(self, event: e.ConfigurationChanged) -> None:
        box = self.box
        removed = box.peers.keys() - {peer.name for peer in event.peers}
        added = {peer.name: peer for peer in event.peers if peer.name not in box.peers}
        box.digest, box.generation = event.digest, event.generation
        box.peers = {peer.name: peer for peer in event.peers}
        box.calls.forget(removed)
        box.raised -= removed
        for name in removed:
            box.table.readings.pop(name, None)
        if box.hello_at is None:
            return
        if not box.muted:
            box.raised.update(name for name, peer in added.items() if peer.keepalive)
            return
        # The engine has them with the keepalive of the file.
        box.set_keepalives(dict.fromkeys(box.peers, 0))
        if endpoints := box.table.endpoints(box.peers):
            box.do(SetEndpoints(endpoints))

    def _handover(self, forgive: bool) -> None:
        box, partner = self.box, self.box.partner.hello
        if box.muted and forgive and box.uplinks.forgive(box.now):
            forgotten = "that its own line was dead is forgotten, and it may take the role"
            box.note("handover", f"this box is not master: there is nothing to hand over; {forgotten}")
        elif box.muted:
            box.note("handover", "this box is not master: there is nothing to hand over")
        elif not box.partner.alive or partner is None:
            box.note("handover", "the other box is not heard; the role was kept")
        elif not partner.ready:
            forgiven = box.losses.forgive()
            then = "that it lost the role before is forgotten, and it may take it" if forgiven else "the role was kept"
            box.note("handover", f"{partner.box} is not ready; {then}")
            box.tell()
        else:
            # Whoever hands it over wants the other box to have it, and to have it back the next time.
            box.losses.forgive()
            box.note("handover", "")
            box.handover_until = box.now + box.timers.handover
            box.tell()
