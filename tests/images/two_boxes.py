"""Two boxes as they are flashed, a pair, in front of neighbours.

                      internet
          203.0.113.1 │      │ 198.51.100.1
        ┌─────────────┤      └─────────────┐
    wan │ .2      wan │ .3                 │ .2
   ┌────┴────┐   ┌────┴────┐          ┌────┴────┐
   │  alpha  │   │  bravo  │          │ branch  │   a guest of its own: Debian's kernel and wg-quick
   └────┬────┘   └────┬────┘          └────┬────┘
    lan │ .2      lan │ .3                 │ 192.168.20.1
        └──────┬──────┘               ┌────┴────┐
          ┌────┴────┐                 │  host   │ .20
          │  host   │ .20             └─────────┘
          └─────────┘

Virtual addresses: 203.0.113.10 and 192.168.10.1. alpha is preferred. alpha, bravo and branch are emulated machines; the
rest are namespaces, which cost next to nothing.

An emulated processor is slow, and three of them share what there is: adverts come every 0.2 s, not every 0.05 s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.images.office import LAN, PATIENCE, WAN, apply, image, put
from tests.lab import Lab, Node, Probe, ProbeReport, genkey, wait_for
from tests.vm.cards import Card
from tests.vm.disk_machine import DiskMachine
from tests.vm.neighbour import Neighbour

HOST, BRANCH_HOST, SERVER = "192.168.10.20", "192.168.20.20", "203.0.113.1"
VIRTUAL, LAN_ROUTER = "203.0.113.10", "192.168.10.1"
INTERVAL = 0.05
"""An emulated processor that encrypts is busy with a few hundred packets a second."""
LONGEST_MS = 5000
"""A plain keepalived + wg-quick pair is silent for 15 s on real processors: a peer waits that long by protocol."""
CONNECTIONS = 4

YAML = """\
version: 1
site: zurich
boxes:
  alpha:
    interfaces:
      wan: {device: enp0s16, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp0s17, address: 192.168.10.2/24}
  bravo:
    interfaces:
      wan: {device: enp0s16, address: 203.0.113.3/24, gateway: 203.0.113.1}
      lan: {device: enp0s17, address: 192.168.10.3/24}
failover:
  prefer: alpha
  advert_seconds: 0.2
  virtual_addresses:
    wan: 203.0.113.10/24
    lan: 192.168.10.1/24
  pair_link: lan
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      branch: {public_key: "BRANCH", address: 10.20.0.2, networks: [192.168.20.0/24]}
firewall:
  allow:
    - {from: lan, to: wan}
    - {from: lan, to: office}
    - {from: office, to: lan}
  masquerade: [wan]
"""

PEER = """\
[Interface]
PrivateKey = PRIVATE
Address = 10.20.0.2/32
[Peer]
PublicKey = PUBLIC
Endpoint = 203.0.113.10:51820
AllowedIPs = 10.20.0.0/24, 192.168.10.0/24
PersistentKeepalive = 25
"""


class Box(DiskMachine):
    """An image on a disk of its own, with its cables."""

    def __init__(self, folder: Path, name: str, wan: Card, lan: Card) -> None:
        folder.mkdir()
        super().__init__(folder, image(), cores=1)
        self.name, self.wan, self.lan = name, wan, lan
        self.more: list[str] = []
        """Further words for QEMU."""

    def start(self) -> Box:
        words = [word for card in (self.wan, self.lan) for word in card.plug()]
        self.power_on([*words, *self.more], [self.wan.end, self.lan.end])
        return self

    def boot(self) -> Box:
        return self.start().booted(PATIENCE)

    def power_cut(self) -> None:
        super().power_cut()
        for card in (self.wan, self.lan):
            card.unplug()

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.sh("appliance status --json 2>/dev/null || true", PATIENCE)))

    def pair(self) -> dict[str, Any]:
        """What it says of the pair, {} while there is nothing to say."""
        try:
            return dict(self.status().get("pair") or {})
        except ValueError:
            return {}

    def has_virtual(self, wanted: bool = True, seconds: float = 60) -> None:
        """Waits until it has the address that moves, or has it no more. Asked of the kernel, which answers at once."""
        said = f"ip -o address show dev enp0s17 | grep -q ' {LAN_ROUTER}/'"
        # Its own end first, so that the shell is free for whoever asks what happened.
        loop = f"until {'' if wanted else '! '}{said}; do sleep 0.1; done"
        self.sh(f'timeout {seconds:.0f} sh -c "{loop}"', seconds + 60)


class Surrounded:
    """Two boxes, not booted yet, on two switches with a host; and a guest beside them."""

    beside: Neighbour

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.wan, self.lan = lab.switch("wan"), lab.switch("lan")
        self.host: Node = lab.node("host")
        self.host.attach(self.lan, "eth0", [f"{HOST}/24"], gateway=LAN_ROUTER)
        self.alpha, self.bravo = (
            Box(folder / name, name, Card(self.wan, name, WAN), Card(self.lan, name, LAN))
            for name in ("alpha", "bravo")
        )

    @property
    def boxes(self) -> tuple[Box, Box]:
        return self.alpha, self.bravo

    def boot(self) -> None:
        """All three at once, the boxes for the first time."""
        with ThreadPoolExecutor(3) as pool:
            boxes = [pool.submit(box.boot) for box in self.boxes]
            beside = pool.submit(lambda: self.beside.power_on().booted(PATIENCE))
            for each in boxes:
                each.result()
            beside.result()

    def close(self) -> None:
        for machine in (*self.boxes, self.beside):
            machine.power_cut()


class Pair(Surrounded):
    """Everything in the drawing."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        super().__init__(lab, folder)
        line, branch_lan = lab.switch("branch-wan"), lab.switch("branch-lan")
        self.internet: Node = lab.node("internet")
        self.internet.attach(self.wan, "zurich", [f"{SERVER}/24"])
        self.internet.attach(line, "branch", ["198.51.100.1/24"])
        self.internet.forward()
        self.branch_host: Node = lab.node("branch-host")
        self.branch_host.attach(branch_lan, "eth0", [f"{BRANCH_HOST}/24"], gateway="192.168.20.1")
        self.branch = self.beside = Neighbour(
            folder / "branch", [Card(line, "branch", 20), Card(branch_lan, "branch", 21)]
        )

    def become_one(self) -> None:
        """alpha gets the file, bravo a code, the branch its wg-quick."""
        key = genkey()
        enrol(self.alpha, self.bravo, YAML.replace("BRANCH", key.public))
        office = self.alpha.sh("cat /data/appliance/keys/wg-office.pub").strip()
        text = PEER.replace("PRIVATE", key.private).replace("PUBLIC", office)
        put(self.branch, "/etc/wireguard/wg0.conf", text)
        cards = "ip address add 198.51.100.2/24 dev eth0; ip link set eth0 up; ip route add default via 198.51.100.1"
        self.branch.sh(f"{cards}; ip address add 192.168.20.1/24 dev eth1; ip link set eth1 up")
        self.branch.sh("sysctl -qw net.ipv4.ip_forward=1; wg-quick up wg0")


def enrol(alpha: Box, bravo: Box, yaml: str) -> None:
    """alpha gets the file, and bravo a code."""
    put(alpha, "/data/appliance/box", "alpha\n")
    apply(alpha, yaml)
    alpha.sh("(appliance pair invite >/run/invited 2>&1 &)")
    code = alpha.sh("until grep -o -m1 'join .*' /run/invited; do sleep 1; done", PATIENCE).split()[1]
    assert "this is bravo of zurich now" in bravo.sh(f"appliance pair join {code}", PATIENCE)
    alpha.sh("until grep 'bravo has joined' /run/invited; do sleep 1; done", PATIENCE)


@dataclass(frozen=True)
class Outage:
    """What happened, and what each path saw of it."""

    event: str
    seen: dict[str, ProbeReport]


def paths(pair: Pair) -> dict[str, tuple[Node, Node, str]]:
    return {
        "host→branch": (pair.host, pair.branch_host, BRANCH_HOST),
        "branch→host": (pair.branch_host, pair.host, HOST),
        "host→internet": (pair.host, pair.internet, SERVER),
    }


def watch(pair: Pair, event: str, happens: Callable[[], None]) -> Outage:
    """Probes on each path, both ways, from before something happens until all of them are answered again."""
    with ExitStack() as stack:
        probes = {name: stack.enter_context(Probe(*ends, INTERVAL)) for name, ends in paths(pair).items()}
        for probe in probes.values():
            probe.flowing(60, 20)
        happens()
        for probe in probes.values():
            probe.flowing(60, 20)
        with ThreadPoolExecutor(len(probes)) as pool:
            return Outage(event, dict(zip(probes, pool.map(Probe.stop, probes.values()), strict=True)))


def table(outages: list[Outage], idle: Outage) -> str:
    """The longest gap of each path, and how many idle round trips of that path it is."""
    lines = [f"{'longest gap in ms (idle round trips)':<38}" + "".join(f"{name:>24}" for name in idle.seen)]
    trips = "".join(f"{f'{report.median_ms:.1f}':>24}" for report in idle.seen.values())
    lines.append(f"{'idle round trip, median':<38}{trips}")
    for outage in outages:
        cells = (
            f"{report.longest_gap_ms:,.0f} ({report.longest_gap_ms / idle.seen[name].median_ms:,.0f})"
            for name, report in outage.seen.items()
        )
        lines.append(f"{outage.event:<38}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)


@contextmanager
def two_boxes[T: Surrounded](
    name: str, drawing: str, folder: Path, session: pytest.Session, build: Callable[[Lab, Path], T]
) -> Iterator[T]:
    """Off. What they have to say when a test of the session fails meanwhile stands in the lab's log."""
    with Lab(name, drawing) as lab:
        made = build(lab, folder)
        before = session.testsfailed
        try:
            yield made
            for box in made.boxes if session.testsfailed > before else ():
                # One that has no shell yet is silent.
                with suppress(AssertionError, OSError):
                    said = "ps -eo pid,cls,ni,time,comm --sort=-time | head -n 12; journalctl -b --no-pager -n 600"
                    lab.log.section(box.name, box.run(f"{said} -o short-precise", 120)[1])
        finally:
            made.close()


def ready(box: Box) -> None:
    """It could take over."""
    wait_for(lambda: box.pair().get("not_ready") in ([], ["it gave the role away on request"]), PATIENCE, "ready", 1)
