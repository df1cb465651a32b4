"""From the file that a person flashes to an office with its lines, as the machine's console and its neighbours tell it.

build/image/*.img ─► disk of 4 GB ─► OVMF with Secure Boot ─► shim ─► GRUB ─► kernel ─► the product
                                             ▲
                                    the power is cut, six times

Its neighbours: tests/images/lines.py.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.lines import (
    a_branch_by_wg_quick,
    a_session_over_a_vlan,
    a_vlan_and_the_short_way,
    beside,
    the_bundled_engine_takes_over,
)
from tests.images.office import (
    CARDS,
    LONG_AGO,
    OFFICE,
    PATIENCE,
    apply,
    image,
    is_well,
    the_tunnel_is_up_by,
)
from tests.lab import Lab
from tests.vm.disk_machine import DiskMachine

DOWN = "\x0e"
"""Control-N, at GRUB's menu (GRUB manual, "The flow of control")."""
FLASHED_BYTES, LARGER_BYTES = 4 << 30, 6 << 30


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, image(), gigabytes=FLASHED_BYTES >> 30)
    yield made
    made.power_cut()


def monotonic(machine: DiskMachine, unit: str, when: str) -> int:
    """When a unit reached a state, in microseconds since the machine's start."""
    return int(machine.sh(f"systemctl show --value -p {when}TimestampMonotonic {unit}").strip())


def test_from_the_file_to_an_office(machine: DiskMachine, lab: Lab, tmp_path: Path) -> None:
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

    # What was confirmed is there after a power cut.
    identity = machine.sh("cat /data/machine-id")
    wall, data = int(machine.sh("date +%s")), data_bytes(machine)
    machine.sh("sync")
    machine.power_cut()
    a_shell_from_the_menu(machine)
    machine.power_cut()
    # Somebody has copied it to a larger disk; and the clock's battery is empty.
    os.truncate(machine.disk, LARGER_BYTES)
    with beside(machine, lab, tmp_path / "others", "-rtc", f"base={LONG_AGO}") as others:
        assert machine.sh("cat /data/machine-id") == identity
        the_tunnel_is_up_by(machine, "kernel")
        is_well(machine)
        assert int(machine.sh("date +%s")) >= wall, "no handshake is older than those before the cut"
        more, grown = LARGER_BYTES - FLASHED_BYTES, data_bytes(machine) - data
        assert grown > 0.9 * more, f"of {more} bytes more, {grown} are of use"
        it_is_a_package(machine)
        cards_and_processor_are_set_right(machine)
        print(machine.sh("systemd-analyze --no-pager; systemd-analyze critical-chain --no-pager"))
        print(machine.sh("systemd-analyze blame --no-pager | head -n 12; free -m; df -h /data"))
        a_vlan_and_the_short_way(machine, others)
        branch = a_branch_by_wg_quick(machine, others)
        a_session_over_a_vlan(machine, others, branch)

    the_bundled_engine_takes_over(machine)


def data_bytes(machine: DiskMachine) -> int:
    """The size of /data."""
    return int(machine.sh("df -B1 --output=size /data | tail -n 1"))


def it_is_a_package(machine: DiskMachine) -> None:
    """The product is known to dpkg, and nothing of it is missing or altered."""
    assert machine.sh("dpkg-query -W -f '${Status}' appliance") == "install ok installed"
    assert machine.sh("dpkg --verify appliance") == ""


def cards_and_processor_are_set_right(machine: DiskMachine) -> None:
    """virtio-net has one receive queue, and there are two cores; packets of a tunnel pass many at a time."""
    for card in ("enp0s16", "enp0s17"):
        assert machine.sh(f"cat /sys/class/net/{card}/queues/rx-0/rps_cpus").strip() == "3"
    said = json.loads(machine.sh("appliance status --json 2>/dev/null || true"))["hardware"]
    print("\n".join(f"{each['of']}: {each['what']} {each['now']}: {each['why']}" for each in said))
    assert {each["what"] for each in said} >= {"rx-udp-gro-forwarding", "rx-0/rps_cpus"}
    assert [each for each in said if each["now"] != each["wanted"]] == []


def a_shell_from_the_menu(machine: DiskMachine) -> None:
    """The rescue entry: root on the console, the office's configuration not carried out, no network."""
    machine.power_on(CARDS)
    machine.console.wait_for("Rescue: a root shell on system A", PATIENCE)
    machine.console.write(DOWN + DOWN + "\r")
    # Of sulogin's two lines the first may be lost on a serial line that is just being set up.
    machine.console.wait_for("press Control-D to continue", PATIENCE)
    machine.console.write("\r")
    # Said again: what is typed while a shell sets up its line may be thrown away.
    for _ in range(20):
        machine.console.write("echo $(id -un) in $(systemctl is-active rescue.target appliance systemd-networkd)\r")
        machine.listen(3)
        if "root in active inactive inactive" in machine.console.said:
            break
    machine.console.wait_for("root in active inactive inactive", 1)
    machine.booted(PATIENCE)
    # Their drivers may come later than the shell.
    machine.sh("until [ $(ip -o link | grep -vc ' lo:') = 2 ]; do sleep 1; done", PATIENCE)
    assert machine.sh("ip -o link | grep -v ' lo:'").count("state DOWN") == 2
    assert machine.sh("cat /proc/sys/net/ipv4/ip_forward").strip() == "0"
