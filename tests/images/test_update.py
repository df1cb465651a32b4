"""A box is updated: each bad update leaves it as it was, a good one stays, and the way back is one command.

build/image/*.img ─► disk ─► OVMF with Secure Boot ─► shim ─► GRUB ─► system A or B
                       ▲                                        │ wan
      the power is cut in installs and first boots          QEMU's gateway
"""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images import updates
from tests.images.updates import LATER
from tests.vm.disk_machine import DiskMachine

BUILT = updates.BUILD / "image"
PATIENCE = 600
CUTS = int(os.environ.get("LAB_UPDATE_CUTS", "4"))
"""Half of them while an update is installed, half in its first boot."""
OFFICE = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp0s16, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp0s17, address: 192.168.10.1/24}
firewall:
  allow:
    - {from: lan, to: wan}
  masquerade: [wan]
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path, next(BUILT.glob("appliance-*-amd64.img")), updates.make(tmp_path))
    yield made
    made.power_cut()


class Box(DiskMachine):
    def __init__(self, folder: Path, image: Path, stick: Path) -> None:
        super().__init__(folder, image)
        self.with_it = ["-device", "virtio-net-pci,netdev=a,addr=10"]
        self.with_it += ["-netdev", "user,id=a,restrict=on,net=203.0.113.0/24,host=203.0.113.1"]
        self.with_it += ["-device", "virtio-net-pci,netdev=b,addr=11", "-netdev", "hubport,id=b,hubid=2"]
        self.with_it += ["-drive", f"if=none,id=stick,file={stick},format=raw,readonly=on"]
        self.with_it += ["-device", "virtio-blk-pci,drive=stick"]

    def start(self) -> Box:
        self.power_on(self.with_it)
        self.booted(PATIENCE)
        return self.settled()

    def settled(self) -> Box:
        """Waits until the system that runs was confirmed."""
        self.sh("until [ -e /run/appliance-image/settled ]; do sleep 1; done", PATIENCE)
        self.sh("mkdir -p /run/stick; mount -t squashfs -o ro /dev/vdb /run/stick")
        return self

    def restarts(self, *systems: str) -> Box:
        """Restarts it, and sees which systems are started, one after the other, until the last one stays."""
        heard = len(self.console.said)
        self.shell.write("systemctl reboot\n")
        since = 0
        for each in systems:
            since = self.boots(each, PATIENCE, heard)
            heard = len(self.console.said)
        self.booted(PATIENCE, since)
        return self.settled()

    def update(self, what: str) -> tuple[int, str]:
        return self.run(f"appliance update /run/stick/{what}.raucb", PATIENCE)

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.sh("appliance update status --json")))

    def runs(self) -> tuple[str, str]:
        """Its slot and version."""
        found = next(each for each in self.status()["systems"] if each["runs"])
        return found["system"], found["version"]

    def generation(self) -> int:
        return int(json.loads(self.sh("appliance status --json 2>/dev/null || true"))["generation"])

    def apply(self, text: str) -> None:
        encoded = base64.b64encode(text.encode()).decode()
        self.sh(f"echo {encoded} | base64 -d >/data/appliance/appliance.yaml; appliance apply --confirm auto", PATIENCE)


def test_updates(machine: Box) -> None:
    machine.start()
    own = machine.runs()[1]
    machine.apply(OFFICE)
    machine.sh("until ping -c 1 -W 1 203.0.113.1; do :; done")

    for what, reason in {
        "tampered": "a part of it is not what was signed; nothing was written",
        "foreign": "signed by somebody whom this system does not know",
        "arm64": "the update is for arm64, and this box is amd64",
        "older": f"the update is version 0.0.9, older than the {own} that runs",
        "short": "this is no update, or only a part of one",
        "none": "does not exist",
    }.items():
        code, said = machine.update(what)
        assert code == 1 and reason in said and "Traceback" not in said, f"{what}: {said}"
    assert machine.run("appliance update rollback")[0] == 1
    assert machine.sh("head -c 4096 /dev/disk/by-partlabel/root-b | tr -d '\\0' | wc -c").strip() == "0"

    # Nothing of the product starts in it: it is given up in its first boot.
    assert machine.update("mute")[0] == 0
    machine.restarts("B", "A")
    assert machine.runs() == ("A", own) and machine.generation() == 1
    assert machine.status()["outcome"] == "went back"

    # Its kernel panics, and restarts; two of three tries are taken from it here, to save minutes.
    assert machine.update("panicking")[0] == 0
    machine.sh("grub-editenv /efi/EFI/debian/grubenv set B_TRY=2")
    machine.restarts("B", "A")
    assert machine.runs() == ("A", own) and machine.generation() == 1
    assert f"version {updates.BROKEN} was given up, and {own} runs again" in machine.sh("appliance update status")
    assert "Kernel panic" in machine.console.said

    instants = random.Random(int(os.environ.get("LAB_SEED", "7")))
    for _ in range((CUTS + 1) // 2):
        machine.shell.write("appliance update /run/stick/good.raucb >/dev/null 2>&1 &\n")
        machine.listen(instants.uniform(1, 20))
        machine.power_cut()
        machine.start()
        assert machine.generation() == 1
        if machine.runs() == ("B", LATER):
            break  # it was quicker
    if machine.runs() != ("B", LATER):
        assert machine.update("good")[0] == 0
        machine.sh("sync")
        for _ in range(CUTS // 2):
            machine.power_cut()
            machine.power_on(machine.with_it)
            machine.console.wait_for("Booting `Appliance", PATIENCE)
            machine.listen(instants.uniform(1, 40))
        machine.power_cut()
        machine.start()
        assert machine.generation() == 1
    if machine.runs() != ("B", LATER):
        # Cut three times in its first boots, it was given up.
        assert machine.update("good")[0] == 0
        machine.restarts("B")
    assert machine.runs() == ("B", LATER)
    assert machine.status()["outcome"] == "confirmed"
    assert "A_OK=1" in machine.sh("grub-editenv /efi/EFI/debian/grubenv list")

    # What the new system was told is not for the old one.
    machine.apply(OFFICE.replace("192.168.10.1", "192.168.11.1"))
    assert machine.generation() == 2
    machine.sh("appliance update rollback")
    machine.restarts("A")
    assert machine.runs() == ("A", own) and machine.generation() == 1
    said = " ".join(machine.run("appliance status")[1].split())
    assert f"generation 2 is a newer system's (version {LATER} made it, this is {own})" in said
    assert "192.168.10.1/24" in machine.sh("ip -brief address show enp0s17")
