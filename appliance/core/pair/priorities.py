"""Priorities (RFC 9568 section 5.2.4): 254 and 250 once names.READY is added to them; 250 and 249 where neither box is
preferred, and 254 and 253 on the master (names.HELD)."""

from __future__ import annotations

from appliance.core.model import Config

PREFERRED = 154
OTHER = 150
FIRST, SECOND = 150, 149

LOST_LINK = -110
"""Per link without carrier. More than READY: a box that is not ready but has its links goes before one that is
ready and has not. Not FAULT: if the modem that both are plugged into is switched off, the office keeps its router."""


def priority(config: Config, box: str) -> int:
    """The priority in keepalived.conf. Without `prefer` the first box in the file begins, as some box must."""
    prefer = config.failover.prefer if config.failover else None
    if prefer:
        return PREFERRED if box == prefer else OTHER
    return FIRST if box == next(iter(config.boxes)) else SECOND
