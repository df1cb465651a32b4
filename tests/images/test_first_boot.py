"""From the file that a person flashes to an office, as the machine's console tells it.

build/image/*.img ─► disk of 4 GB ─► OVMF with Secure Boot ─► shim ─► GRUB ─► kernel ─► the product
                                             ▲
                                    the power is cut, four times
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.disk_machine import DiskMachine

HERE = Path(__file__).parent
BUILT = HERE.parent.parent / "build" / "image"
# An emulated processor is some thirty times slower than a real one, and the machine may have others to serve.
PATIENCE = 600
CARDS = ["-device", "virtio-net-pci,netdev=a,addr=10", "-netdev", "hubport,id=a,hubid=1"]
CARDS += ["-device", "virtio-net-pci,netdev=b,addr=11", "-netdev", "hubport,id=b,hubid=2"]

OFFICE = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp0s16, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp0s17, address: 192.168.10.1/24}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      geneva:
        public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
        endpoint: 198.51.100.2:51820
        address: 10.20.0.2
        networks: [192.168.20.0/24]
firewall:
  allow:
    - {from: lan, to: wan}
    - {from: lan, to: office.geneva}
  masquerade: [wan]
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, next(BUILT.glob("appliance-*-amd64.img")))
    yield made
    made.power_cut()


def monotonic(machine: DiskMachine, unit: str, when: str) -> int:
    """When a unit reached a state, in microseconds since the machine's start."""
    return int(machine.sh(f"systemctl show --value -p {when}TimestampMonotonic {unit}").strip())


def the_tunnel_is_up_by(machine: DiskMachine, engine: str) -> None:
    # One answer, looked at and handed over: the next one may come from the middle of a start.
    asked = f'said=$(appliance status --json 2>/dev/null); echo "$said" | grep -q \'"engine": *"{engine}"\''
    said = machine.sh(f'until {asked}; do sleep 1; done; echo "$said"', PATIENCE)
    assert json.loads(said)["tunnels"][0]["engine"] == engine


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
    assert machine.sh("systemctl is-system-running --wait", PATIENCE).strip() == "running"
    assert machine.sh("systemctl --failed --plain --no-legend").strip() == ""
    assert "ordering cycle" not in machine.sh("journalctl -b --no-pager")
    assert machine.sh("cat /proc/sys/kernel/tainted").strip() == "0"
    assert "Secure boot enabled" in machine.sh("dmesg")

    # The disk: whole, and nothing but /data is written.
    assert machine.run("cat /run/appliance-image/no-data")[0] == 1
    assert machine.sh("findmnt -n -o FSTYPE /").strip() == "squashfs"
    assert machine.sh("findmnt -n -o FSTYPE /data").strip() == "ext4"
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

    text = base64.b64encode(OFFICE.encode()).decode()
    machine.sh(f"echo {text} | base64 -d >/data/appliance/appliance.yaml; appliance apply --confirm auto", PATIENCE)
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
