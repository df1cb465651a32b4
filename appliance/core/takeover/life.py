"""keepalived's life under this box, from boot on: when it is started, what follows from its words and its death."""

from __future__ import annotations

from appliance.core.pair.names import NOT_READY
from appliance.core.takeover import contest, links, redial, role
from appliance.core.takeover.actions import (
    DropVirtualAddresses,
    DropVoice,
    HoldForward,
    KeepVirtualAddresses,
    MuteTunnels,
    ReadPeers,
    SetEndpoints,
    SetReady,
    StartKeepalived,
    StopKeepalived,
)
from appliance.core.takeover.box import Box
from appliance.core.takeover.events import BACKUP, MASTER, Started
from appliance.core.takeover.hello import STANDBY


def started(box: Box, event: Started) -> None:
    box.floor.start(event.floor, event.wall, event.trusted, event.now)
    box.became("it has just started")
    # What the file or the supervisor before this one may have set.
    box.raised = set(box.peers)
    box.boot_until = box.now + box.timers.boot
    box.given_away = event.given_away
    if event.keepalived:
        box.alive_at, box.vrrp = box.now, event.vrrp
        box.epoch, box.held = event.epoch, event.held
    if event.keepalived and event.vrrp == MASTER and event.unmuted:
        box.boot_until = None
        # What it heard before is not known. A master that heard nobody loses nothing (links.listen).
        box.listens_until = 0.0
        role.adopt(box, event.settled)
    else:
        role.mute(box, "")
        if not event.keepalived:
            box.do(DropVirtualAddresses())
        elif event.vrrp != MASTER:
            box.do(DropVoice())
        box.said = NOT_READY
        box.do(SetReady(box.said))
        box.table.remember(event.remembered, box.now)
        if endpoints := box.table.endpoints(box.peers):
            box.do(SetEndpoints(endpoints))
    if event.keepalived:
        # The supervisor before this one may have been killed while it held.
        box.do(HoldForward(False))
    # What the handshakes of the next takeover are compared with.
    box.do(ReadPeers())
    box.tell(ask=True)
    redial.soon(box)


def boot_due(box: Box) -> None:
    """keepalived may elect this box at once, so it is not started before what the partner knows has arrived.

    Where it runs already and did so, only the supervisor being new, the takeover waits for that.

    Of two that boot at once one goes first (state.Pair.begins). The other would be elected for a tenth of a second, and
    whoever called it in that time would have a session that nobody knows of.
    """
    if box.boot_until is None:
        return
    if box.floor.step(box.now) is not None:
        if box.now >= box.boot_until:
            box.step_clock()
        return
    partner = box.partner
    complete = partner.alive and box.table.version >= partner.version and (box.begins or partner.active)
    if box.now >= box.boot_until or complete:
        box.boot_until = None
        if box.alive_at is None:
            box.restart_at = box.now + box.timers.restart_most
            box.do(StartKeepalived())
        if box.vrrp == MASTER:
            role.promote(box, "VRRP elected it")


def vrrp(box: Box, state: str) -> None:
    if box.parked and state == MASTER:
        return  # said before it was stopped
    if box.alive_at is None:
        # A child that outlived its parent, and no keepalived that runs: one that is started is known before it speaks.
        # Unless it says MASTER, the addresses are gone, and the partner takes over.
        if state != MASTER and box.orphan_until is not None:
            role.end_orphan(box, "keepalived ended")
        return
    before, box.vrrp = box.vrrp, state
    if state == BACKUP and before == MASTER:
        redial.overheard(box)
    if state != MASTER:
        _demoted(box, state, before)
    elif box.boot_until is not None:
        return
    elif not box.muted:
        box.orphan_until = None
    elif box.probing_until is not None and box.partner.active:
        box.yielding_at = box.now
    elif before != MASTER:
        role.promote(box, "VRRP elected it")


def _demoted(box: Box, state: str, before: str) -> None:
    was = not box.muted
    given = box.handover_until is not None and was
    box.yielding_at = box.orphan_until = None
    if was and not given:
        box.returns_at = box.now + box.timers.return_calm
    why = f"VRRP: {state}"
    if given:
        why = "the role was handed over"
    elif box.stepping_down_until is not None:
        why = f"no link on {' and '.join(box.lost_links)}"
    role.mute(box, why)
    box.do(DropVoice())
    links.ended(box)
    if given:
        box.given_away = True
        box.note("handover", "it gave the role away on request; a handover of the other box takes it back")
        box.handover_until = None
    elif not was and state != before:
        box.became(f"VRRP: {state}")


def stranger(box: Box, network: str, source: str, router_id: int) -> None:
    box.stranger_until = box.now + box.timers.stranger
    box.note(
        "router id",
        f"{source} on {network} sends VRRP with router ID {router_id}, too; write another failover.virtual_router_id",
    )


def keepalived_started(box: Box) -> None:
    box.alive_at = box.now
    box.restart_at = None


def keepalived_died(box: Box) -> None:
    calm = box.alive_at is not None and box.now - box.alive_at >= box.timers.restart_calm
    if calm:
        box.restart_after = box.timers.restart
    before, box.vrrp = box.vrrp, ""
    box.alive_at = box.yielding_at = box.probing_until = None
    if box.boot_until is not None and before == MASTER:
        box.do(MuteTunnels(), DropVirtualAddresses())
    if box.parked or box.boot_until is not None:
        return
    again = box.now + box.restart_after
    box.restart_after = min(2 * box.restart_after, box.timers.restart_most)
    if not box.muted:
        box.became("keepalived ended; it goes on for a moment")
        box.returns_at = box.now + box.timers.return_calm
        if box.orphan_until is None:
            box.orphan_until = box.now + box.timers.orphan
            box.keep_at = box.now + box.timers.last_breath
        # A partner takes over within a few adverts; alone, the sooner it runs again the better.
        box.restart_at = None if box.partner.alive else box.now
        return
    if before == MASTER:
        box.do(MuteTunnels(), DropVirtualAddresses())
    box.restart_at = again


def due(box: Box) -> None:
    """Everything about keepalived that waits for its time."""
    now = box.now
    if box.keep_at is not None and now >= box.keep_at:
        box.keep_at = None
        if box.orphan_until is not None:
            box.do(KeepVirtualAddresses())
    if box.orphan_until is not None and now >= box.orphan_until:
        role.end_orphan(box, "keepalived ended, and nobody took over in time")
    if box.restart_at is not None and now >= box.restart_at:
        # Until KeepalivedStarted or KeepalivedDied comes, it is tried again.
        box.restart_at = now + box.timers.restart_most
        box.do(StartKeepalived())
    if box.stranger_until is not None and now >= box.stranger_until:
        box.stranger_until = None
        box.note("router id", "")
    contest.late_adverts_due(box)
    _masterless_due(box)
    _park_due(box)
    if box.handover_until is not None and now >= box.handover_until:
        box.handover_until = None
        box.note("handover", "the other box did not take the role in time; it was kept")


def _masterless_due(box: Box) -> None:
    """Each keepalived hears a master, and neither box is one. VRRP knows no secret (RFC 9568, section 9)."""
    partner = box.partner
    standby = partner.alive and partner.hello is not None and partner.hello.role == STANDBY
    if not (standby and box.muted and box.vrrp == BACKUP):
        box.masterless_at = None
        box.note("master", "")
    elif box.masterless_at is None:
        box.masterless_at = box.now + box.timers.masterless
    elif box.now >= box.masterless_at:
        box.note(
            "master",
            "neither box is master, though they hear each other: somebody on a network of the pair sends VRRP in their "
            "names, and each takes it for the other box; find that device: tcpdump -e 'ip proto 112 or ip6 proto 112'",
        )


def _park_due(box: Box) -> None:
    """VRRP elected both: the adverts of one do not reach the other, but the hellos do.

    The one that yields stops its keepalived, so that it answers for no virtual address, and tries again now and then.
    """
    now, partner = box.now, box.partner
    if box.yielding_at is not None and now >= box.yielding_at + box.timers.park and partner.active:
        box.yielding_at = box.probing_until = None
        box.parked, box.vrrp = True, ""
        box.probe_at = now + box.probe_every
        box.probe_every = min(2 * box.probe_every, box.timers.probe_most)
        box.note("adverts", "both boxes were elected: their VRRP adverts do not reach each other; this one stands back")
        box.do(StopKeepalived(), DropVirtualAddresses())
    elif box.parked and (not partner.active or (box.probe_at is not None and now >= box.probe_at)):
        box.probing_until = now + box.timers.probe_calm if partner.active else None
        box.parked, box.probe_at = False, None
        box.restart_at = now + box.timers.restart_most
        box.do(StartKeepalived())
    elif box.probing_until is not None and now >= box.probing_until and box.yielding_at is None:
        box.probing_until = None
        box.probe_every = box.timers.probe
        box.note("adverts", "")
