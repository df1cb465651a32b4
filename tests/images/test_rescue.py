"""Who stands before a box that does not come up, and nobody who stands before one that hangs.

the menu's rescue entry    ─► a root shell on the console, no network, nothing started
PID 1 dies in an instant   ─► nobody feeds the board's watchdog ─► it restarts by itself
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.office import CARDS, PATIENCE, image
from tests.vm.disk_machine import DiskMachine

WATCHDOG = ["-device", "i6300esb", "-action", "watchdog=reset"]
DOWN = "\x0e"
"""Control-N (GRUB manual, "The flow of control")."""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, image(), gigabytes=2)
    yield made
    made.power_cut()


def test_a_root_shell_from_the_menu_and_a_watchdog_that_is_fed(machine: DiskMachine) -> None:
    machine.power_on([*CARDS, *WATCHDOG])
    machine.console.wait_for("Rescue: a root shell on system A", PATIENCE)
    machine.console.write(DOWN + DOWN + "\r")
    machine.console.wait_for("[Pp]ress Enter for maintenance", PATIENCE)
    machine.console.write("\r")
    # Said again: what is typed while a shell sets up its line may be thrown away.
    for _ in range(10):
        machine.console.write("echo $(id -un) in $(systemctl is-active rescue.target appliance systemd-networkd)\r")
        machine.listen(5)
        if "root in active inactive inactive" in machine.console.said:
            break
    machine.console.wait_for("root in active inactive inactive", 10)
    machine.booted(PATIENCE)
    cards = machine.sh("ip -o -brief link | grep -v ^lo").splitlines()
    assert len(cards) == 2 and all("UP" not in line for line in cards), cards

    machine.power_cut()
    machine.power_on([*CARDS, *WATCHDOG]).booted(PATIENCE)
    machine.sh("systemctl is-system-running --wait", PATIENCE)
    print(machine.sh("wdctl || true; journalctl -b --no-pager | grep -i watchdog"))
    assert machine.sh("systemctl show --value -p RuntimeWatchdogUSec").strip() == "30s"
    assert "hardware timeout of 30s" in machine.sh("journalctl -b --no-pager | grep -i watchdog")
    # It is being fed: twice the time passes.
    machine.listen(60)
    assert machine.running and machine.sh("echo here").strip() == "here"
    heard = len(machine.console.said)
    machine.shell.write("kill -SEGV 1\n")
    machine.console.wait_for("Booting `Appliance", PATIENCE, heard)
