"""What people and programs read of `appliance doctor`, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import client, doctor, main
from appliance.core.doctor.evidence import Disk, Evidence, UplinkSeen
from appliance.shell import doctoring

STATUS = {"status": {"box": None, "configuration": None, "generation": None, "trial": None}}
WAN = UplinkSeen("wan", "eth0", addresses=("203.0.113.2/24",), gateways=("203.0.113.1",), answering=("203.0.113.1",))
WELL = Evidence(box="zurich", uplinks=(WAN,))


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(doctor, "ask", lambda *_: STATUS)
    monkeypatch.setattr(doctoring, "gather", lambda *_: WELL)
    return monkeypatch


def silent(*_: Any) -> dict[str, Any]:
    raise client.SilentSupervisor("nobody there")


def test_nothing_wrong(box: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "nothing wrong was found\n"


def test_a_cause_its_evidence_and_what_to_do(box: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    full = Evidence(box="zurich", uplinks=(WAN,), disks=(Disk("/data", 4096, 64 << 20),))
    box.setattr(doctoring, "gather", lambda *_: full)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "1. The disk under /data is full: what runs goes on, but nothing new can be applied or noted.",
        "   seen: /data: 4 kB of 64 MB free",
        "   do:   find what takes the space, sudo du -xh /data | sort -h | tail, and remove it",
    ]
    assert main(["doctor", "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == 1 and said["findings"][0]["cause"] == "disk-full" and said["untold"] == []


def test_a_supervisor_that_does_not_run_is_a_finding(
    box: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box.setattr(doctoring, "gather", silent)
    box.setattr(doctoring, "supervisor_silent", lambda _: Evidence(supervisor="appliance.service is failed"))
    assert main(["doctor"]) == 2
    assert "seen: appliance.service is failed" in capsys.readouterr().out


def test_a_laptop_is_no_box(box: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    box.setattr(doctoring, "gather", silent)
    box.setattr(doctoring, "supervisor_silent", lambda _: None)
    assert main(["doctor", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "appliance: this is not a box; run it where the supervisor does\n"


def test_without_root(box: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: Any) -> Evidence:
        raise PermissionError

    box.setattr(doctoring, "gather", refuse)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err.endswith("needs root; put sudo before it\n")
