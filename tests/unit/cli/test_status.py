"""What people read in `appliance status`."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.cli.status import _print

STATUS: dict[str, Any] = {
    "site": "zurich",
    "box": "alpha",
    "role": "master",
    "firewall": {"stands": True},
    "forwarding": True,
    "warnings": ["[fd00::1]:51820 is taken", "see [/tmp]"],
    "notices": [],
    "pending": [],
    "interfaces": [],
    "uplinks": [],
    "tunnels": [],
    "generation": 7,
    "trial": None,
    "last_rollback": None,
}
PARTNER = {
    "box": "bravo",
    "alive": True,
    "heard_ago": 0.1,
    "role": "backup",
    "ready": True,
    "in_step": True,
    "ahead": "",
}
PAIR: dict[str, Any] = {
    "role": "master",
    "since": 0.0,
    "why": "VRRP elected it",
    "not_ready": [],
    "partner": PARTNER,
    "takeover": None,
    "notes": [],
}


def shown(capsys: pytest.CaptureFixture[str], **change: Any) -> str:
    _print({**STATUS, **change})
    return " ".join(capsys.readouterr().out.split())


def test_brackets_mean_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys)
    assert "note: [fd00::1]:51820 is taken" in said and "note: see [/tmp]" in said and "generation 7" in said


def test_a_trial(capsys: pytest.CaptureFixture[str]) -> None:
    trial = {"generation": 8, "origin": "anna", "both_boxes": True, "seconds_left": 61.2, "not_seen_yet": ["x works"]}
    said = shown(capsys, trial=trial)
    assert "generation 8 of anna, on both boxes; without `appliance confirm` from a new session it goes in 61 s" in said
    assert "not seen yet: x works" in said


def test_a_rollback_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    last = {"number": 8, "ended": 0.0, "why": "not confirmed within 90 s"}
    assert "generation 8 went back at 1970-01-01 00:00:00 UTC: not confirmed within 90 s" in shown(
        capsys, last_rollback=last
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "bravo: backup, ready, in step"),
        ({"in_step": False, "ahead": "bravo"}, "not in step: bravo is ahead"),
        ({"in_step": False}, "not in step: the boxes were changed apart; `appliance apply` on one of them settles it"),
        ({"alive": False, "heard_ago": 12.0}, "bravo is not heard for 12 s; it was backup"),
    ],
    ids=["well", "ahead", "apart", "away"],
)
def test_what_the_other_box_says(capsys: pytest.CaptureFixture[str], change: dict[str, Any], sentence: str) -> None:
    assert sentence in shown(capsys, pair={**PAIR, "partner": {**PARTNER, **change}})


def test_the_last_takeover(capsys: pytest.CaptureFixture[str]) -> None:
    took = {"told": 0.0, "committed": 0.011, "unmuted": 0.002, "first_handshake": 0.03, "last_active_back": None}
    said = shown(capsys, pair={**PAIR, "takeover": {**took, "called": 2, "answered": 2}})
    assert "last takeover at 1970-01-01 00:00:00 UTC: connections 11 ms, tunnels up 2 ms, first peer 30 ms" in said
    assert "2 of 2 peers answered" in said


def test_what_of_the_hardware_could_not_be_tuned(capsys: pytest.CaptureFixture[str]) -> None:
    ring = {"of": "enp1s0", "what": "rx", "now": "256", "wanted": "1024", "why": "bursts"}
    clock = {"of": "policy0", "what": "scaling_governor", "now": "performance", "wanted": "performance", "why": "delay"}
    text = shown(capsys, hardware=[ring, clock])
    assert "tuned for forwarding: policy0" in text
    assert "not tuned: enp1s0: rx is 256, better 1024: bursts" in text
