"""A master that lost a link and knows that its partner has all: it goes at once, and is not waited for. And a box that
lost all links on which it would hear its partner.

keepalived lowers a master's priority for a lost link, and the partner waits for three adverts all the same. A master
in FAULT says with its last advert that it goes (priority 0, RFC 9568 section 6.4.3). But in FAULT a box serves nobody,
so it stays there no longer than that takes: out of it its priority is below the partner's, and above nobody's.

Of a lost link that carried adverts nothing is gained: keepalived's sync group moves once each of its instances has
waited (vrrp_sync_can_goto_master in keepalived/vrrp/vrrp_sync.c), and that network's own heard no last advert.
"""

from __future__ import annotations

from appliance.core.takeover.actions import KeepVirtualRoutes, StepDown
from appliance.core.takeover.box import Box
from appliance.core.takeover.events import MASTER


def read(box: Box, lost: tuple[str, ...], heard: bool) -> None:
    """The devices whose link is lost at this moment, of those that count for the priority; `heard` as in LinksRead."""
    more, back = len(lost) > len(box.lost_links), set(box.lost_links) - set(lost)
    box.lost_links = lost
    if back and not box.muted:
        box.do(KeepVirtualRoutes())
    if box.hello_at is None:
        return
    box.tell(ask=more)
    box.step_down_at = box.now + box.timers.link_doubt if more and heard and not box.muted else None


def listen(box: Box, deaf: bool) -> None:
    """Without a link on any network that it shares with the partner a box cannot know who is master. As one elected by
    that silence it would speak when a link comes up, until it hears the first advert; so it is in FAULT until then.

    Not so a master that heard nobody before: a switch that blinks is to cost it no more than the blink.
    """
    if deaf and (box.muted or box.partner.alive):
        box.listens_until = float("inf")
    elif box.listens_until == float("inf"):
        box.listens_until = box.now + box.timers.listen


def due(box: Box) -> None:
    if box.now < box.listens_until < box.partner.spoke_at + box.timers.listen:
        # It was heard since, and says itself whether it is master.
        box.listens_until = box.now
    if box.stepping_down_until is not None and box.now >= box.stepping_down_until:
        ended(box)
    if box.step_down_at is None or box.now < box.step_down_at:
        return
    box.step_down_at = None
    if _partner_is_better(box):
        box.stepping_down_until = box.now + box.timers.step_down
        box.do(StepDown())


def ended(box: Box) -> None:
    """The role is gone, or the attempt is over: what keepalived is to know about this box is written anew."""
    box.step_down_at = None
    if box.stepping_down_until is not None:
        box.stepping_down_until = box.said = None


def _partner_is_better(box: Box) -> bool:
    partner = box.partner
    if box.muted or box.vrrp != MASTER or not partner.alive or partner.hello is None:
        return False
    return partner.hello.ready and partner.hello.lost_links < len(box.lost_links)
