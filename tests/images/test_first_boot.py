"""From the file that a person flashes to an office, as the machine's console tells it.

build/image/*.img ─► disk of 4 GB ─► OVMF with Secure Boot ─► shim ─► GRUB ─► kernel ─► the product
                                             ▲
                                    the power is cut, four times
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.office import CARDS, OFFICE, PATIENCE, apply, image, is_well, the_tunnel_is_up_by
from tests.vm.disk_machine import DiskMachine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, image())
    yield made
    made.power_cut()


def monotonic(machine: DiskMachine, unit: str, when: str) -> int:
    """When a unit reached a state, in microseconds since the machine's start."""
    return int(machine.sh(f"systemctl show --value -p {when}TimestampMonotonic {unit}").strip())


def test_from_the_file_to_an_office(machine: DiskMachine) -> None:
    machine.power_on()
    for seconds in sorted(random.Random(5).uniform(10, 40) for _ in range(3)):
        machine.listen(seconds)
        machine.power_cut()
        machine.power_on()
    machine.console.wait_for("Booting `Appliance", PATIENCE)
    machine.listen(random.Random(6).uniform(5, 12))
    machine.power_cut()

    machine.power_on(CARDS).booted(PATIENCE)
    is_well(machine)
    assert "Secure boot enabled" in machine.sh("dmesg")

    # Nothing but /data is written.
    assert machine.run("touch /usr/x")[0] == 1
    assert machine.sh("cat /etc/machine-id") == machine.sh("cat /data/machine-id")

    # Closed before any interface is up, and nobody may log in from afar.
    closed = monotonic(machine, "appliance-firewall", "ActiveEnter")
    assert 0 < closed < monotonic(machine, "systemd-networkd", "InactiveExit")
    assert machine.run("systemctl is-active ssh appliance-ssh")[1].split() == ["inactive", "inactive"]

    # A person at the serial line is asked what a box must know.
    machine.console.wait_for("This box is new. Press Enter to set it up", PATIENCE)
    machine.console.write("\r")
    machine.console.wait_for("One box or two", PATIENCE)

    apply(machine, OFFICE)
    the_tunnel_is_up_by(machine, "kernel")
    assert "wireguard" in machine.sh("lsmod")

    # With the module masked, the bundled engine carries the tunnel; what was confirmed is there after a power cut.
    identity = machine.sh("cat /data/machine-id")
    machine.sh("sync")
    machine.power_cut()
    machine.power_on(CARDS).booted(PATIENCE)
    assert machine.sh("cat /data/machine-id") == identity
    the_tunnel_is_up_by(machine, "kernel")
    machine.sh("printf 'blacklist wireguard\\ninstall wireguard /bin/false\\n' >/etc/modprobe.d/none.conf")
    machine.sh("systemctl stop appliance; ip link del wg-office; rmmod wireguard; systemctl start appliance", PATIENCE)
    the_tunnel_is_up_by(machine, "userspace")
    print(machine.sh("systemd-analyze --no-pager; systemd-analyze blame --no-pager | head -n 12; free -m; df -h /data"))
