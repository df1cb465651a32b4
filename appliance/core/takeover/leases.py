"""The leases of the master's uplinks: told to the standby, which uses them when it is master, until they end."""

from __future__ import annotations

from appliance.core.state import Lease
from appliance.core.takeover import role
from appliance.core.takeover.actions import NoteLeases
from appliance.core.takeover.box import Box
from appliance.core.takeover.hello import ACTIVE, Hello


def read(box: Box, leases: tuple[Lease, ...]) -> None:
    """This box's own, as its system says. A standby has none, and that is no news.

    When a PPPoE session has come up, the peers are called anew: what was said before had no way out, or came from
    another address.
    """
    if box.muted:
        return
    if _take(box, leases):
        box.tell()
    up = {each.uplink: each.session for each in leases if each.session and each.address}
    before, box.sessions = box.sessions, up
    if before is not None and any(before.get(uplink) != number for uplink, number in up.items()):
        role.call_anew(box)


def sessions_up(box: Box, dialled: frozenset[str]) -> dict[str, bool]:
    """Whether these uplinks have a session. Nothing is known of a standby's, nor before the first look."""
    return {} if box.muted or box.sessions is None else {uplink: uplink in box.sessions for uplink in dialled}


def heard(box: Box, hello: Hello) -> None:
    """A master without any has lost its line or is about to get one: what was lent to it before still counts."""
    if box.muted and hello.role == ACTIVE and hello.leases:
        _take(box, hello.leases)


def _take(box: Box, leases: tuple[Lease, ...]) -> bool:
    changed = [_what(each) for each in leases] != [_what(each) for each in box.leases]
    box.leases, box.leases_at = leases, box.now
    if changed:
        box.do(NoteLeases(leases))
    return changed


def _what(lease: Lease) -> tuple[str, str, str, int]:
    return lease.uplink, lease.address, lease.gateway, lease.session
