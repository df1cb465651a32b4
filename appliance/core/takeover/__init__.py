"""The takeover of a pair as a pure state machine: events and time in, actions out.

    booting ── partner's table here, or 1.5 s ──► standby ◄─────────── BACKUP, FAULT, STOP ────────────┐
                                                   │  MASTER                                          │
                                                   ▼                                                  │
    orphan ◄── keepalived died ── master (unmuted) ── partner is master by a higher epoch ──► yielding ┤
      │                             ▲   ▲                                                       │  │  │
      │                             │   └──────── partner stepped down or fell silent ──────────┘  │  │
      │                             └── Mute, then promoted again: the partner was master meanwhile │  │
      └─ partner is master, or 2 s: muted, addresses dropped ──► standby                            │  │
                                                                  parked (keepalived stopped) ◄─ 1 s ┘──┘

Unmuted are `master` and `orphan`, and nobody else.
"""

from __future__ import annotations

from appliance.core.takeover.machine import Machine
from appliance.core.takeover.timers import Timers

__all__ = ["Machine", "Timers"]
