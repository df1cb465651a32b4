"""What the tests of the amd64 and arm64 images share: the files to boot, their cards, and the office they become."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from shlex import join

from tests.vm.disk_machine import DiskMachine, Emulated

BUILT = Path(__file__).parents[2] / "build" / "image"
# An emulated processor is some thirty times slower than a real one, and the machine may have others to serve.
PATIENCE = 600
WAN, LAN = 16, 17
"""PCI slots of a box's cards, which Linux calls enp0s16 and enp0s17."""
LONG_AGO = "2021-05-01"
"""What a clock without a battery says."""
NOBODY = "user,id={},restrict=on,ipv6=off,net=192.0.2.0/24"
"""Takes every packet, and answers none that an office sends. A hub's only port would not even take them."""
CARDS = ["-device", "virtio-net-pci,netdev=a,addr=10", "-netdev", NOBODY.format("a")]
CARDS += ["-device", "virtio-net-pci,netdev=b,addr=11", "-netdev", NOBODY.format("b")]
"""Both with a cable in, and nobody at its other end."""

ALONE = """\
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
"""An office without a tunnel."""

OFFICE = ALONE.replace(
    "firewall:\n  allow:\n",
    """\
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
    - {from: lan, to: office.geneva}
""",
)
"""An office with a tunnel to a branch."""


def image(arch: str = "amd64") -> Path:
    """The file that a person flashes."""
    return next(BUILT.glob(f"appliance-*-{arch}.img"))


def put(machine: Emulated, path: str, text: str) -> None:
    """Writes a file, which only root may read."""
    encoded = base64.b64encode(text.encode()).decode()
    machine.sh(f"umask 077; echo {encoded} | base64 -d >{path}")


def apply(machine: DiskMachine, text: str) -> str:
    """Hands it an appliance.yaml, and has it confirmed by itself; returns what `appliance apply` said."""
    put(machine, "/data/appliance/appliance.yaml", text)
    return machine.sh("appliance apply --confirm auto", PATIENCE)


def is_well(machine: DiskMachine) -> None:
    """Waits until all units have started: none failed, its kernel is untainted, and its disk as it should be. The box
    says the same of itself (image/files, self-check)."""
    assert machine.sh("systemctl is-system-running --wait", PATIENCE).strip() == "running"
    assert machine.sh("systemctl --failed --plain --no-legend").strip() == ""
    # Of a file that a power cut has cut short, journalctl says so on the other output.
    cycle = machine.sh("journalctl -b --no-pager 2>/dev/null | grep -A4 'ordering cycle' || true").strip()
    assert cycle == "", cycle
    assert machine.sh("cat /proc/sys/kernel/tainted").strip() == "0"
    assert machine.run("cat /run/appliance-image/no-data")[0] == 1
    assert machine.sh("findmnt -n -o FSTYPE /").strip() == "squashfs"
    assert machine.sh("findmnt -n -o FSTYPE /data").strip() == "ext4"
    checked = machine.run("systemctl start appliance-self-check", PATIENCE)[0]
    said = machine.sh("journalctl --sync; journalctl -b --no-pager -o cat -u appliance-self-check 2>/dev/null")
    assert checked == 0 and "AMISS" not in said and "well: the firewall stands in the kernel" in said, said


def the_tunnel_is_up_by(machine: DiskMachine, engine: str) -> None:
    # One answer, looked at and handed over: the next one may come from the middle of a start.
    asked = f'said=$(appliance status --json 2>/dev/null); echo "$said" | grep -q \'"engine": *"{engine}"\''
    said = machine.sh(f'until {asked}; do sleep 1; done; echo "$said"', PATIENCE)
    assert json.loads(said)["tunnels"][0]["engine"] == engine


class AsNode:
    """A machine where a node of a lab is expected, by whoever only writes files there and runs commands."""

    def __init__(self, machine: Emulated) -> None:
        self.machine = machine

    def put(self, path: str, content: str, mode: int) -> None:
        put(self.machine, path, content)

    def sh(self, script: str) -> str:
        return self.machine.sh(script)

    def run(self, *words: str) -> str:
        return self.machine.sh(join(words))

    def popen(self, *words: str) -> None:
        self.machine.sh(f"({join(words)} >/dev/null 2>&1 &)")
