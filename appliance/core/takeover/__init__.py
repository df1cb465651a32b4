"""The takeover of a pair as a pure state machine: events and time in, actions out.

    booting   muted      the partner's table is here, or 1.5 s ──► standby (keepalived is started)
    standby   muted      MASTER ──► master
    master    unmuted    BACKUP, FAULT, STOP ──► standby; a preferred box does not ask for the role again for 5 s
                         the partner is master by a higher epoch ──► yielding
                         the partner was master meanwhile, and is no more ──► muted and promoted again: master
                         keepalived died ──► orphan
    yielding  muted      the partner stepped down or fell silent ──► master; BACKUP ... ──► standby; 1 s ──► parked
    parked    muted      keepalived is stopped; the partner stepped down or fell silent, or a minute ──► standby
    orphan    unmuted    the partner is master, or 2 s ──► standby, its addresses dropped, keepalived started again

The rules are in role (becoming master and ceasing to be), contest (what the partner says) and life (keepalived);
machine dispatches to them; calls, table, floor, losses and readiness each keep one thing.
"""

from __future__ import annotations

from appliance.core.takeover.machine import Machine
from appliance.core.takeover.timers import Timers

__all__ = ["Machine", "Timers"]
