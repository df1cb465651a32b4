"""Becoming master and ceasing to be: the two sequences whose order was found by measurement."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.pair.names import READY, UNHEARD
from appliance.core.takeover.actions import (
    AddTunnelRoutes,
    Announce,
    AskRouter,
    CallPeers,
    CommitConnections,
    DropVirtualAddresses,
    HoldForward,
    MuteTunnels,
    ReAddPeers,
    ReadPeers,
    SetEndpoints,
    UnmuteTunnels,
    UseLeases,
)
from appliance.core.takeover.box import Box
from appliance.core.takeover.calls import Calls
from appliance.core.takeover.report import Phases


def promote(box: Box, why: str, again: bool = False) -> None:
    """Takes the role, above every epoch that is known. `again`: VRRP did not move, so keepalived announces nothing."""
    if not box.muted:
        mute(box, why, quietly=True)
    partner = box.partner.hello
    # A preferred box that is ready takes the role from a partner that is well.
    wins = box.preferred and box.said == READY
    served = box.now - box.partner.served_at < box.timers.gone
    # Or it took the role from a box without a supervisor.
    alone = box.said == UNHEARD
    if partner and (served or alone) and not again and not wins:
        box.losses.partner_lost(partner.epoch, box.now)
    box.epoch = box.held = max(box.epoch, box.partner.epoch) + 1
    box.table.restamp(box.epoch, box.peers)
    box.muted = False
    box.sessions = {}
    box.uplinks.role_taken(box.partner.uplinks)
    # A partner that was heard just now: its adverts should have been, too.
    heard = box.now - box.partner.heard_at <= box.timers.hello + box.timers.stall
    box.elected_at = box.now if heard and not again else None
    box.yielding_at = box.orphan_until = None
    box.master_at, box.began = box.now, box.floor.wall(box.now)
    box.became(why)
    box.promoted_at = box.judged_at = box.now
    box.phases = Phases(told=box.began)
    box.takeovers += 1
    box.step_clock()

    # The commit runs while the handshakes are under way: forwarded packets wait for it, ours do not.
    box.hold_until = box.now + box.timers.hold
    box.do(HoldForward(True), CommitConnections())
    lately = box.table.lately(box.peers, box.now)
    active = set(lately)
    box.calls = Calls(box.timers)
    box.calls.add(box.peers[name] for name in lately)
    box.calls.add((peer for name, peer in box.peers.items() if name not in active and peer.keepalive), quiet=True)
    # Before the first keepalive: wireguard-go sends on a link that is down, and would find no way out.
    box.do(UseLeases(box.held_leases()))
    box.set_keepalives(dict.fromkeys(box.calls.first(box.now), box.timers.call_keepalive))
    box.do(UnmuteTunnels(), AddTunnelRoutes(), AskRouter())
    # Packing what is to be said takes a millisecond, and nobody waits for it.
    box.tell()
    if again:
        box.do(Announce())
    proceed(box)
    read_soon(box)


def mute(box: Box, why: str, quietly: bool = False) -> None:
    """Always the first thing that is done about a lost role, and harmless when there was none.

    `quietly`: it is taken again at once, and a partner that yields must not take it for free.
    """
    box.do(MuteTunnels())
    box.phases = phases(box)
    was, box.muted = not box.muted, True
    if was:
        box.uplinks.role_lost(box.now)
    box.master_at = box.began = box.read_at = box.suspect_until = box.adopting_until = None
    box.torn = False
    if was and not quietly:
        box.became(why)
        box.tell()
    release(box)
    box.calls = Calls(box.timers)
    # The next link up is to start only the handshakes that are meant.
    box.set_keepalives(dict.fromkeys(sorted(box.raised & box.peers.keys()), 0))


def yield_role(box: Box, why: str) -> None:
    """VRRP says MASTER, the partner is it: nothing is sent until one of the two changes."""
    mute(box, why)
    box.yielding_at = box.now


def adopt(box: Box, settled: bool) -> None:
    """A supervisor that was killed finds its box at work as master: nothing is touched.

    What the last one knew of the peers, the partner knows.
    """
    box.muted = False
    box.adopting_until, box.settled = box.now + box.timers.boot, settled
    box.sessions = None
    box.master_at = box.judged_at = box.now
    box.became("its supervisor was started again")
    box.read_at = box.now + box.timers.read_calling


def adopt_due(box: Box) -> None:
    """Once the engines were read and the partner's table is here, or late: the new supervisor speaks for itself.

    The partner takes its table only if it is of a higher epoch.
    """
    if box.adopting_until is None:
        return
    partner = box.partner
    complete = bool(box.table.readings) and partner.alive and box.table.version >= partner.version
    if not complete and box.now < box.adopting_until:
        return
    box.adopting_until = None
    wall = box.floor.wall(box.now)
    box.epoch = box.held = max(box.epoch, partner.epoch) + 1
    box.table.restamp(box.epoch, box.peers)
    box.table.note_all(box.now, wall)
    box.began = wall
    if box.torn and not partner.active:
        promote(box, "the other box was master meanwhile, and stepped down", again=True)
        return
    if not box.settled:
        has_session = box.table.with_session(wall)
        lately = box.table.lately(box.peers, box.now)
        box.calls.add(box.peers[name] for name in lately if name not in has_session)
    box.tell()
    read_soon(box)


def end_orphan(box: Box, why: str) -> None:
    """keepalived is dead, and the time without it is over."""
    box.orphan_until = None
    mute(box, why)
    box.do(DropVirtualAddresses())
    if box.restart_at is None and box.alive_at is None:
        box.restart_at = box.now + box.timers.restart


def release(box: Box) -> None:
    if box.hold_until is not None:
        box.hold_until = None
        box.do(HoldForward(False))


def proceed(box: Box) -> None:
    """Calls whoever is due."""
    due = box.calls.due(box.now)
    seconds = box.timers.call_keepalive
    if due.again:
        box.do(ReAddPeers(due.again, seconds))
    if due.calls:
        box.do(CallPeers(due.calls, seconds))
    box.raised.update(due.calls)
    configured = {name: box.peers[name].keepalive for name in (*due.quiet, *due.given_up)}
    box.set_keepalives(configured)


def answered(box: Box, names: list[str]) -> None:
    """These peers have a new handshake."""
    if names and not box.muted:
        box.shaken_at = box.now
    waited = [name for name in names if box.calls.answer(name, box.now)]
    if not waited or box.phases is None or box.master_at is None:
        return
    # The call's keepalive has done its work.
    configured = {name: box.peers[name].keepalive for name in waited if name in box.peers}
    box.set_keepalives({n: seconds for n, seconds in configured.items() if seconds != box.timers.call_keepalive})
    took = box.now - box.master_at
    first = box.phases.first_handshake
    box.phases = replace(box.phases, first_handshake=took if first is None else first, last_active_back=took)


def engine_started(box: Box, tunnel: str) -> None:
    """The tunnel's sessions are gone: its peers are called like after a takeover, the others are left alone."""
    peers = {name: peer for name, peer in box.peers.items() if peer.tunnel == tunnel}
    if box.muted:
        box.do(MuteTunnels())
    if endpoints := box.table.endpoints(peers):
        box.do(SetEndpoints(endpoints))
    if box.muted:
        box.set_keepalives(dict.fromkeys(peers, 0))
        return
    lately = box.table.lately(peers, box.now)
    active = set(lately)
    box.calls.add(peers[name] for name in lately)
    box.calls.add((peer for name, peer in peers.items() if name not in active and peer.keepalive), quiet=True)


def call_anew(box: Box) -> None:
    """There is a way out that there was not: whoever was active lately is called, whatever was tried before.

    A peer that has its session with this box only hears where it is now.
    """
    names, began = box.table.lately(box.peers, box.now), box.began
    here = [
        name
        for name in names
        if began is not None and (seen := box.table.readings.get(name)) and seen.last_handshake > began
    ]
    box.raised.update(names)
    box.calls.add_again((box.peers[name] for name in names if name not in set(here)), box.now)
    if here:
        box.do(CallPeers(tuple(here), box.timers.call_keepalive))
        box.set_keepalives({name: box.peers[name].keepalive for name in here})
    proceed(box)
    read_soon(box)


def read_soon(box: Box) -> None:
    """When the engines are to be read next; more often while answers are awaited."""
    timers, count = box.timers, len(box.peers)
    if box.calls.called:
        box.read_at = box.now + max(timers.read_calling, timers.read_per_peer * count / timers.read_hurry)
    else:
        box.read_at = box.now + max(timers.read, timers.read_per_peer * count)


def read_due(box: Box) -> None:
    if box.read_at is not None and box.read_at <= box.now:
        box.do(ReadPeers())
        read_soon(box)


def phases(box: Box) -> Phases | None:
    """The last takeover's, with the calls as they stand."""
    calls = box.calls
    if box.phases is None or box.muted:
        return box.phases
    return replace(box.phases, called=calls.total, answered=calls.answered, given_up=calls.given_up, done=calls.done)
