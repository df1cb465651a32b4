"""A box that is given away: after a factory reset, whichever way it was asked for, the disk holds nothing of before.

appliance factory-reset             ──┐
appliance-factory-reset on a stick  ──┼─► /data erased and made anew ─► the setup greets, no key is on the disk
an entry of the boot menu           ──┘          ▲
                                        the power is cut
"""

from __future__ import annotations

import mmap
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.office import CARDS, OFFICE, PATIENCE, apply, image
from tests.vm.disk_machine import DiskMachine

SPILLED = "0f5ecret-that-somebody-wrote-down"
GREETING = "This box is new. Press Enter to set it up"


@pytest.fixture
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, image(), gigabytes=2, discards=request.param)
    yield made
    made.power_cut()


def in_use(machine: DiskMachine) -> list[bytes]:
    """Boots it as an office's box; returns what nobody may find any more later, which is on the disk now."""
    machine.power_on(CARDS).booted(PATIENCE)
    machine.sh("systemctl is-system-running --wait", PATIENCE)
    apply(machine, OFFICE)
    machine.sh(f"echo {SPILLED} >/data/admin/notes; logger {SPILLED}; journalctl --sync")
    key = machine.sh("cat /data/appliance/keys/wg-office*").strip().splitlines()[0]
    identity = machine.sh("cat /data/machine-id").strip()
    machine.sh("sync")
    secrets = [SPILLED.encode(), key.encode(), identity.encode()]
    assert found(machine, secrets) == secrets
    return secrets


def found(machine: DiskMachine, secrets: list[bytes]) -> list[bytes]:
    """Which of them stand anywhere in the disk file."""
    with machine.disk.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as disk:
        return [secret for secret in secrets if disk.find(secret) >= 0]


def is_new(machine: DiskMachine, secrets: list[bytes], since: int = 0) -> None:
    """`since`: what the shell's line said before is of another boot."""
    machine.booted(PATIENCE, since)
    machine.console.wait_for(GREETING, PATIENCE)
    machine.sh("sync")
    assert found(machine, secrets) == []
    assert machine.run("cat /run/appliance-image/no-data")[0] == 1
    assert machine.sh("systemctl is-system-running --wait", PATIENCE).strip() == "running"


@pytest.mark.parametrize("machine", [False], indirect=True, ids=["a-disk-that-forgets-nothing"])
def test_asked_for_by_the_command_and_interrupted(machine: DiskMachine) -> None:
    secrets = in_use(machine)
    code, said = machine.run("appliance factory-reset")
    assert code == 1 and "--yes" in said
    machine.sh("appliance factory-reset --yes")
    machine.console.wait_for("factory reset: [246]0 % erased", PATIENCE)
    machine.power_cut()
    machine.power_on(CARDS)
    machine.console.wait_for("factory reset: 0 % erased", PATIENCE)
    is_new(machine, secrets)


@pytest.mark.parametrize("machine", [True], indirect=True, ids=["a-disk-that-discards"])
def test_asked_for_by_a_stick_and_in_the_boot_menu(machine: DiskMachine, tmp_path: Path) -> None:
    secrets = in_use(machine)
    code = machine.sh("appliance factory-reset --show-code").strip()
    machine.sh("sync")
    machine.power_cut()

    # The stick stays in: its code is that of the box of before, so the new one is left alone.
    stick, note = tmp_path / "stick", tmp_path / "note"
    note.write_text(f"{code}\r\n")
    with stick.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.vfat", stick], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", stick, note, "::appliance-factory-reset"], check=True)
    plugged = ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,file={stick}"]
    plugged += ["-device", "usb-storage,drive=stick"]
    machine.power_on([*CARDS, *plugged])
    machine.console.wait_for("factory reset: erased", PATIENCE)
    is_new(machine, secrets, len(machine.shell.said))
    assert "the code is not this box's" in machine.sh(
        "until journalctl -b -u 'appliance-bundle-stick@*' | grep 'not this box'; do sleep 1; done", PATIENCE
    )

    machine.power_cut()
    secrets = in_use(machine)
    machine.power_cut()
    machine.power_on(CARDS)
    machine.console.wait_for("Factory reset: forget", PATIENCE)
    machine.console.write("\x05\r")  # the last entry (GRUB manual, "The flow of control"), and in it
    machine.console.wait_for("Yes: erase", PATIENCE)
    machine.console.write("\x05\r")
    machine.console.wait_for("factory reset: erased", PATIENCE)
    is_new(machine, secrets)
