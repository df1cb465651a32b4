"""When the partner speaks: who of two masters goes on, and what follows from what the other one did meanwhile.

The higher epoch goes on; of equal ones the box whose name comes later. The one that yields holds its tongue as long as
the other says that it is master. The one that goes on and finds that the other was master meanwhile starts all
handshakes anew once the other has stepped down: the peers' sessions are with the other, and would be for 15 s and more.
"""

from __future__ import annotations

from appliance.core.takeover import leases, redial, role
from appliance.core.takeover.actions import Announce, AskConnections, SendConnections, SetEndpoints
from appliance.core.takeover.box import Box
from appliance.core.takeover.events import MASTER
from appliance.core.takeover.hello import ACTIVE, SCHEMA, YIELDING, Hello


def heard(box: Box, hello: Hello) -> None:
    if hello.box == box.name:
        box.note("name", f"the other box calls itself {box.name} too; give the boxes different names")
        return
    returned, silence = not box.partner.alive, box.now - box.partner.heard_at
    if not box.partner.take(hello, box.now):
        return
    _late_adverts(box, hello, silence)
    box.note("partner", "")
    box.note("schema", "")
    _clock(box, hello)
    box.losses.tell(hello.losses, box.now)
    if hello.handing_over:
        box.given_away = False
    if box.muted or box.adopting_until is not None:
        changed = box.table.take(hello, box.now)
        known = {name: endpoint for name, endpoint in changed.items() if name in box.peers}
        if known and box.muted:
            box.do(SetEndpoints(known))
        if box.table.version >= hello.version:
            box.synced_epoch = hello.epoch
    leases.heard(box, hello)
    if hello.role == ACTIVE:
        box.uplinks.serves([living.name for living in hello.uplinks], box.now)
    _contest(box, hello)
    _connections(box, returned)
    if box.suspect_until is not None and _answers(box, hello):
        box.suspect_until = None
    if hello.ask or returned:
        box.tell()


def foreign(box: Box, schema: int) -> None:
    """The partner runs a release that speaks otherwise: it counts as not heard, and VRRP alone decides."""
    older = "the other box" if schema < SCHEMA else "this box"
    box.note(
        "schema",
        f"the boxes cannot understand each other (this one speaks version {SCHEMA}, the other {schema}); this box "
        f"serves alone until {older} has the newer release",
    )


def _late_adverts(box: Box, hello: Hello, silence: float) -> None:
    """VRRP elected this box, and the other one, which was there all the time, is still elected: it says `yielding`."""
    timers = box.timers
    if box.elected_at is None or box.muted or hello.role != YIELDING:
        return
    if silence <= timers.hello + timers.stall and box.now - box.elected_at <= timers.vain:
        box.vain = [*(at for at in box.vain if box.now - at <= timers.flap_within), box.now]
        late_adverts_due(box)
    box.elected_at = None


def late_adverts_due(box: Box) -> None:
    timers, times = box.timers, len(box.vain)
    if box.vain and box.now - box.vain[-1] > timers.flap_within:
        box.vain = []
    box.note(
        "late adverts",
        f"VRRP elected this box {times} times in {timers.flap_within / 60:.0f} minutes although the other one was "
        "there: the network between them loses or delays too many adverts; write a longer failover.advert_seconds"
        if len(box.vain) >= timers.vains
        else "",
    )


def gone(box: Box) -> None:
    """Nothing was heard for some time."""
    if not box.partner.alive:
        return
    box.partner.alive = False
    box.partner_was_active = False
    redial.gone(box)
    name = box.partner.hello.box if box.partner.hello else "the other box"
    box.note("partner", f"{name} is not heard on the pair link; this box serves alone")
    if _is_yielding(box):
        role.promote(box, "the other box fell silent", again=True)


def lower_priority_seen(box: Box) -> None:
    """Somebody else was master by VRRP. Right after a promotion that was the one that just stepped down."""
    redial.overheard(box)
    if box.muted or (box.promoted_at is not None and box.now - box.promoted_at < box.timers.overlap):
        return
    suspect(box)


def stalled(box: Box, seconds: float) -> None:
    """Whether the partner took over meanwhile, only it can say; what it said is still in the socket, or under way.

    One that was not heard since this box took over from it has died, as far as is known: what makes this box stand
    still then is often the takeover itself, and beginning that anew would end what has just begun.
    """
    partner = box.partner
    died = box.promoted_at is not None and partner.spoke_at <= box.promoted_at
    partner.heard_at = min(box.now, partner.heard_at + seconds)
    if not box.muted and partner.alive and not died and seconds >= box.timers.stall:
        suspect(box)
    else:
        box.tell(ask=True)


def suspect(box: Box) -> None:
    box.suspect_until = box.now + box.timers.answer
    box.tell(ask=True)


def suspicion_due(box: Box) -> None:
    """The partner did not say whether it was master: it may have been."""
    if box.suspect_until is None or box.suspect_until > box.now:
        return
    box.suspect_until = None
    if not box.muted and box.vrrp == MASTER:
        role.promote(box, "another box was master meanwhile", again=True)


def _contest(box: Box, hello: Hello) -> None:
    active = hello.role == ACTIVE
    if box.muted:
        if _is_yielding(box):
            both_yield = hello.role == YIELDING and (hello.epoch, hello.box) > (box.epoch, box.name)
            if hello.epoch < box.epoch or not (active or both_yield):
                role.promote(box, f"{hello.box} stepped down", again=True)
        else:
            box.epoch = max(box.epoch, hello.epoch)
    elif box.orphan_until is not None and box.vrrp != MASTER:
        if active:
            role.end_orphan(box, f"keepalived ended, and {hello.box} took over")
    elif active and (hello.epoch, hello.box) > (box.epoch, box.name):
        role.yield_role(box, f"{hello.box} is master by a higher epoch")
    elif active:
        _win(box, hello)
    elif not box.torn and not _was_master_meanwhile(box, hello):
        return
    elif box.adopting_until is not None:
        box.torn = True  # whom to call then, this supervisor has yet to learn
    else:
        role.promote(box, f"{hello.box} was master meanwhile, and stepped down", again=True)


def _was_master_meanwhile(box: Box, hello: Hello) -> bool:
    """It promoted itself after this box did, above its epoch or not, or had handshakes."""
    partner, skew = box.partner, box.timers.skew
    return (
        partner.promoted_at > box.judged_at - skew
        or partner.shaken_at > box.judged_at + skew
        or max(hello.epoch, hello.held + 1) > box.epoch
    )


def _win(box: Box, hello: Hello) -> None:
    """The other one mutes when it hears of us, so it is told at once."""
    own = box.now - box.master_at if box.master_at is not None else 0.0
    # In an ordinary takeover the lower epoch is the one that was master for longer, and is about to step down.
    meanwhile = hello.epoch == box.epoch or hello.master_for < own
    if meanwhile or min(own, hello.master_for) >= box.timers.overlap:
        if not box.torn:
            box.note("masters", f"{hello.box} was master at the same time; it yields")
        box.torn = True
    if hello.epoch == box.epoch:
        # Two tables with the same stamps could not be told apart.
        box.epoch = box.held = box.epoch + 1
        box.table.restamp(box.epoch, box.peers)
    if box.now >= box.met + box.timers.overlap:
        box.met = box.now
        box.do(Announce())
    box.tell()


def _is_yielding(box: Box) -> bool:
    return box.muted and box.vrrp == MASTER and box.boot_until is None


def _answers(box: Box, hello: Hello) -> bool:
    return hello.heard_incarnation == box.incarnation and hello.heard >= box.asked


def _connections(box: Box, returned: bool) -> None:
    active = box.partner.active
    if box.muted and active and not box.partner_was_active:
        box.connections_until = box.now + box.timers.connections
        box.do(AskConnections())
    box.partner_was_active = active
    if returned and not box.muted:
        box.do(SendConnections())


def _clock(box: Box, hello: Hello) -> None:
    box.floor.tell(hello.floor, hello.clock)
    if box.boot_until is not None:
        box.step_clock()
    box.note_clock()
