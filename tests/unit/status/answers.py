"""Answers to `status` as the supervisor puts them together: before the first file, alone on trial, master of a pair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.core.codec import to_json
from appliance.core.generations import ROLLED_BACK, Ending
from appliance.core.state import DefaultRoute
from appliance.core.takeover.report import PartnerReport, Phases, Report
from appliance.supervisor.report import report
from tests.unit.test_plan import DESIRED, NOTHING, RUNNING

COUNTERS = {"dropped_input": 12, "dropped_forward": 3, "invalid": 0, "spoofed": 1}
TRIAL = {
    "generation": 8,
    "origin": "anna",
    "seconds_left": 61.2,
    "works": ["gateway 203.0.113.1 answers"],
    "not_seen_yet": ["geneva answers"],
    "both_boxes": False,
}
SUPERVISOR: dict[str, Any] = {
    "generation": 7,
    "trial": None,
    "last_rollback": None,
    "applied": {"times": 2, "seconds": 0.5, "last_seconds": 0.125},
    "time_floor": 1.8e9,
    "bundles": {"age_recipient": "age1box", "last": None, "fetch": None},
    "update": "",
}
PARTNER = PartnerReport("bravo", True, 0.1, "backup", 3, True, True, "")
PHASES = Phases(1.8e9, 0.002, 0.004, 0.09, 0.35, 2, 2, 0, True)
PAIR = Report("alpha", "master", "MASTER", 1.8e9, "VRRP", 3, False, True, (), PARTNER, (), ("wan",), 2, PHASES, ())


def seen(now: float) -> Any:
    """Geneva shook hands 30 s ago, alice never."""
    device = RUNNING.devices["wg-office"]
    geneva = replace(device.peers["KEY-GENEVA"], last_handshake=now - 30, received=5_000, sent=7_000)
    peers = {**device.peers, "KEY-GENEVA": geneva}
    defaults = (DefaultRoute("enp1s0", "203.0.113.1", 100),)
    return replace(RUNNING, devices={"wg-office": replace(device, peers=peers)}, defaults=defaults)


TALKING = frozenset({("wg-office", "KEY-GENEVA")})


def unconfigured() -> dict[str, Any]:
    nothing = {"generation": None, "time_floor": None}
    return {
        **report(None, NOTHING, None, ("the supervisor is starting",), {}, frozenset(), {}),
        **SUPERVISOR,
        **nothing,
    }


def alone(now: float) -> dict[str, Any]:
    ending = Ending(6, "d", "ben", 1.7e9, 1.7e9, ROLLED_BACK, "not confirmed within 90 s")
    last = {"trial": TRIAL, "last_rollback": to_json(ending)}
    return {**report(DESIRED, seen(now), None, (), COUNTERS, TALKING, {}), **SUPERVISOR, **last}


def pair(now: float) -> dict[str, Any]:
    found = {**report(DESIRED, seen(now), None, (), COUNTERS, TALKING, {}), **SUPERVISOR}
    found["bundles"] = {
        "age_recipient": "age1box",
        "last": {"serial": "4", "outcome": "applied", "at": "2026-11-24T20:00:00Z"},
        "fetch": {"url": "https://example.net/b", "last": {"good": True, "text": "nothing new", "at": 1.8e9}},
    }
    return {**found, "pair": to_json(PAIR), "role": "master"}
