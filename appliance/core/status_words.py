"""Words of the answer to `status` that its writer and its readers share."""

from __future__ import annotations

from typing import Any

from appliance.core.takeover.hello import ACTIVE, BOOT, STANDBY, YIELDING

SCHEMA = 1
"""The number of its vocabulary (core/status_schema.py)."""
ROLES = ("unconfigured", "alone", ACTIVE, STANDBY, YIELDING, BOOT)


def leads_out(uplink: dict[str, Any], pair: dict[str, Any] | None) -> bool:
    """Whether an uplink's cable is in and it leads somewhere, as far as the box knows. Of a way that is the master's
    alone (one public address, a lease, a session) a standby says whether it could be."""
    found = pair or {}
    if not uplink["carrier"] or uplink["name"] in found.get("dead_uplinks", ()):
        return False
    if session := uplink.get("session"):
        return bool(session["up"] or session["elsewhere"])
    return bool(uplink["gateways"]) or (bool(found) and found["role"] != ACTIVE)
