"""Calling the partner again over the pair link, while it is not heard.

Two boxes that start together may call each other at the same instant. Each then answers the other's call, and takes no
answer to its own (WireGuard whitepaper, section 6.1: the last handshake counts); both try again after 5 s
(REKEY_TIMEOUT), woken by hellos of the same beat, and may miss each other in the same way for minutes. So one of the
two, the one whose name comes later, does not wait for that.

A call drops the session that there was. Where there was one, it is kept for as long as it may be good on both sides:
the first hello after a cut is heard then. A call follows when VRRP shows that the other one is on the wire again, and
it is still not heard.
"""

from __future__ import annotations

from appliance.core.takeover.actions import CallPartner
from appliance.core.takeover.box import Box


def soon(box: Box) -> None:
    """There is no session yet, or none that can be trusted."""
    if box.redials:
        box.redial_after = box.timers.redial
        box.redial_at = box.now + box.redial_after


def gone(box: Box) -> None:
    """Nothing is heard from now on. After as long the engine itself begins to doubt the session."""
    if box.redials:
        box.redial_after = box.timers.redial
        box.redial_at = box.now + box.timers.redial_kept


def overheard(box: Box) -> None:
    """VRRP hears the other box, and this one does not."""
    if box.redial_at is not None and box.redial_at > box.now + box.timers.redial:
        soon(box)


def due(box: Box) -> None:
    if box.partner.alive:
        box.redial_at = None
    if box.redial_at is None or box.now < box.redial_at:
        return
    box.redial_after = min(2 * box.redial_after, box.timers.redial_most)
    box.redial_at = box.now + box.redial_after
    box.do(CallPartner())
