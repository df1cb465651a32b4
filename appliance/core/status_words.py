"""Words of the answer to `status` that its writer and its readers share."""

from __future__ import annotations

from appliance.core.takeover.hello import ACTIVE, BOOT, STANDBY, YIELDING

SCHEMA = 1
"""The number of its vocabulary (core/status_schema.py)."""
ROLES = ("unconfigured", "alone", ACTIVE, STANDBY, YIELDING, BOOT)
