"""Two flashed boxes are updated by one command: RAUC and GRUB on both, one after the other, while the office works.

The drawing stands in tests/images/two_boxes.py. The update comes to bravo, which is backup: alpha has to fetch it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import updates
from tests.images.office import PATIENCE, is_well
from tests.images.two_boxes import (
    BRANCH_HOST,
    CONNECTIONS,
    HOST,
    LONGEST_MS,
    SERVER,
    Box,
    Pair,
    ready,
    table,
    two_boxes,
    watch,
)
from tests.lab import Connections

OVER = f"both boxes run version {updates.LATER}, confirmed"


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    with two_boxes("image-pair-update", __doc__ or "", tmp_path, request.session, Pair) as made:
        yield made


def runs(box: Box) -> tuple[str, str]:
    """Its slot and version."""
    systems = json.loads(box.sh("appliance update status --json", PATIENCE))["systems"]
    found = next(each for each in systems if each["runs"])
    return found["system"], found["version"]


def test_both_are_updated_by_one_command_and_the_office_works(pair: Pair, tmp_path: Path) -> None:
    alpha, bravo = pair.boxes
    disk = updates.blank(tmp_path / "update-disk")
    work = tmp_path / "made"
    work.mkdir()
    updates.lay(updates.make_good(work)[0], disk)
    bravo.more = ["-drive", f"if=none,id=updates,file={disk},format=raw,readonly=on"]
    bravo.more += ["-device", "virtio-blk-pci,drive=updates"]
    pair.boot()
    for box in pair.boxes:
        is_well(box)
    pair.become_one()
    alpha.has_virtual(seconds=PATIENCE)
    ready(bravo)
    assert [runs(box)[0] for box in pair.boxes] == ["A", "A"]
    bravo.sh("mkdir -p /run/updates; mount -t squashfs -o ro /dev/vdb /run/updates")
    began = time.monotonic()

    def updated() -> None:
        since = {box.name: len(box.console.said) for box in pair.boxes}
        bravo.shell.write("appliance update /run/updates/good.raucb >/dev/null 2>&1 &\n")
        for box, other in ((bravo, alpha), (alpha, bravo)):
            heard = box.boots("B", PATIENCE, since[box.name])
            print(f"{time.monotonic() - began:6.0f} s  {box.name} boots its other system")
            box.booted(PATIENCE, heard)
            if box is bravo:
                assert "Booting" not in other.console.said[since[other.name] :], "one after the other"
        for box in pair.boxes:
            box.sh(f"until appliance update status | grep -q '{OVER}'; do sleep 1; done", PATIENCE)
            print(f"{time.monotonic() - began:6.0f} s  {box.name} says that it is over")

    with (
        Connections(pair.host, pair.internet, SERVER, CONNECTIONS) as outward,
        Connections(pair.branch_host, pair.host, HOST, CONNECTIONS) as inside,
    ):
        pair.host.ping(BRANCH_HOST, timeout=60)
        for each in (outward, inside):
            each.opened()
        idle = watch(pair, "nothing", lambda: None)
        outage = watch(pair, "both are updated", updated)
        print(table([outage], idle))
        for each in (outward, inside):
            report = each.report
            assert (report.open, report.ended) == (CONNECTIONS, ()), report
    for box in pair.boxes:
        assert runs(box) == ("B", updates.LATER)
        assert box.sh("ls /data/appliance/*.raucb 2>/dev/null || true") == ""
        assert box.status()["tunnels"][0]["engine"] == "kernel"
    gaps = {name: report.longest_gap_ms for name, report in outage.seen.items()}
    assert max(gaps.values()) < LONGEST_MS, gaps
