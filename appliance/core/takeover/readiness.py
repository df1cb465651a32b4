"""Whether a box should ask for the role; what lowers its VRRP priority, and in what words."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.pair.names import HELD, NEVER, NOT_READY, READY, UNHEARD
from appliance.core.takeover.actions import AskUplinks, SetReady
from appliance.core.takeover.box import Box
from appliance.core.takeover.hello import ACTIVE, Hello

GIVEN_AWAY = "it gave the role away on request"
SILENT = "it does not hear the other box"


def settle(box: Box) -> None:
    """Tells keepalived when the answer is another one than before."""
    box.able = not any(reasons(box))
    if (number := _number(box)) != box.said and box.stepping_down_until is None:
        box.said = number
        box.do(SetReady(number))


def _number(box: Box) -> int:
    if box.now < box.listens_until:
        return NEVER
    if box.able and not _given(box) and box.handover_until is None:
        return HELD if box.holds and not box.muted else READY
    return UNHEARD if _unheard(box) else NOT_READY


def shown(box: Box) -> tuple[str, ...]:
    return (*reasons(box), *((GIVEN_AWAY,) if _given(box) or box.handover_until is not None else ()))


def _given(box: Box) -> bool:
    """Whoever gave the role away does not want it, as long as the other box is there and can do it justice.

    As master it then waits until the other one is ready: of two that are not, VRRP would take either.
    """
    partner = box.partner
    return box.given_away and partner.alive and partner.hello is not None and partner.hello.ready


def _unheard(box: Box) -> bool:
    """Whether nothing stands against this box but that the other one's supervisor fell silent, as master: all was well
    with the two until then."""
    partner = box.partner.hello
    if partner is None or partner.role != ACTIVE or partner.handing_over:
        return False
    return [*reasons(box)] == [SILENT] and not any(_out_of_step(box, partner))


def reasons(box: Box) -> Iterator[str]:
    """Why not. What a standby lacks matters only as long as there is a master that has it, or may be one.

    A box that is not ready still serves where there is no other (names.NOT_READY).
    """
    if box.boot_until is not None:
        yield "it is starting"
    if box.now < box.listens_until:
        yield "it has no link, or had none a moment ago, on which it would hear the other box"
    partner = box.partner.hello
    if dead := _missed_uplinks(box):
        yield box.uplinks.amiss(dead)
    if box.preferred and box.partner.alive and box.now < box.returns_at:
        # Said already while it goes on without keepalived: a partner that does not want the role is to want it in time.
        yield "it waits a moment before it asks for the role again"
    if not box.muted:
        return
    if (dead := box.uplinks.was_dead(box.now)) and box.partner.alive:
        yield box.uplinks.amiss(dead, before=True)
    if not box.partner.alive and box.boot_until is None:
        # Its own cable may have been out: it must not be master again before it knows what happened meanwhile.
        yield SILENT
    if box.partner.active and partner is not None:
        yield from _out_of_step(box, partner)


def _out_of_step(box: Box, partner: Hello) -> Iterator[str]:
    """What this box lacks of a master's, as far as that has told."""
    if box.digest != partner.digest:
        yield "the two boxes have different configurations"
    if box.preferred and box.now - box.partner.promoted_at < box.timers.fresh:
        yield "the other box has just become master, and is still hearing from its peers"
    if not box.uplinks.asked_once or box.uplinks.unknown():
        yield "it does not know yet whether its uplinks lead anywhere"
    if box.synced_epoch != partner.epoch:
        yield "it has not received all the peers' endpoints"
    if box.connections_until is not None:
        yield "it has not received the connection table"
    if box.probing_until is not None:
        yield "it does not know yet whether VRRP adverts get through"
    if box.preferred and resting(box):
        yield _flapping(box)


def resting(box: Box) -> float | None:
    return box.losses.rests_until(box.now)


def ask_due(box: Box) -> None:
    """Gateways are asked all the time, by the standby too: it must know whether it could serve."""
    uplinks = box.uplinks
    if uplinks.ask_at is None or box.now >= uplinks.ask_at:
        uplinks.ask(box.now)
        box.do(AskUplinks())


def _missed_uplinks(box: Box) -> tuple[str, ...]:
    """The dead uplinks on whose account this box should not be master.

    A master gives way only to one that is ready and has what it lacks: where both are cut off, nothing moves.
    """
    if box.muted:
        return box.uplinks.dead()
    partner = box.partner
    ready = partner.alive and partner.hello is not None and partner.hello.ready
    return box.uplinks.outdone(partner.uplinks) if ready else ()


def due(box: Box) -> None:
    dead = box.uplinks.dead()
    box.note("uplink", box.uplinks.amiss(dead) if dead else "")
    if box.connections_until is not None and box.now >= box.connections_until:
        box.connections_until = None
        box.note("connections", "the connection table of the other box did not come; connections may break")
    if box.preferred:
        box.note("flapping", f"it stays backup: {_flapping(box)}" if resting(box) else "")


def _flapping(box: Box) -> str:
    timers = box.timers
    until = box.floor.wall(resting(box) or box.now)
    clock = f"{int(until // 3600) % 24:02}:{int(until // 60) % 60:02} UTC"
    return f"it lost the role {timers.flaps} times in {timers.flap_within / 60:.0f} minutes; until {clock}"
