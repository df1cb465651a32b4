"""Priorities (RFC 9568 section 5.2.4), and what is written into the file by which the supervisor moves them.

keepalived adds the number in that file to the priority in its own file, for all instances of the group at once
(keepalived.conf(5), Track files), and a file that is missing counts as 0. So a box whose supervisor never said a word
is not ready; and a box that is not ready still serves when there is no other, since its priority is low and not
FAULT: in FAULT a box never has the virtual addresses, whether the partner lives or not.
"""

from __future__ import annotations

from appliance.core.model import Config

PREFERRED = 154
OTHER = 150

READY = 100
"""Takes the role from a partner with less: 254 on the preferred box, 250 on the other."""
READY_TO_STAND_IN = 90
"""Takes over when the partner is gone, and otherwise leaves the role where it is: less than any master that is ready.
What a backup writes that shall not take back, because no box is preferred or because it died again and again."""
NOT_READY = 0
"""Gives the role to any partner that is ready. A planned handover too: the master serves until it hears the new one."""
NEVER = -300
"""FAULT (below -253, keepalived.conf(5)): the addresses go at once, and the partner need not wait for three adverts.
For a master that knows its partner is well and must go now; and for a box that hears on no network any more
(hearing_devices), so that it holds no address meanwhile and does not come back as a second master."""

LOST_LINK = -110
"""Per link without carrier. More than READY: a box that is not ready but has its links goes before one that is
ready and has not. Not FAULT: if the modem that both are plugged into is switched off, the office keeps its router."""


def priority(config: Config, box: str) -> int:
    """The priority in keepalived.conf. Without `prefer` the first box in the file begins, as some box must."""
    prefer = config.failover.prefer if config.failover else None
    return PREFERRED if box == (prefer or next(iter(config.boxes))) else OTHER
