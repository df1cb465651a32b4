"""What a packet and a new connection cost in the firewall, with 10 and with 1,000 peers and rules.

     sender ── wg-office ┌──────┐ enp2s0 ── office          three gates side by side: no ruleset, 10 peers, 1,000 peers
     sender ── enp2s0    │ gate │ enp1s0 ── internet
                         └──────┘

The gates have the rulesets and routes that the product writes for these files; `wg-office` is a cable here, since an
engine would cost many times what the firewall does. Each packet is judged by the rules: its flow is never answered, so
conntrack keeps calling it new. Everything happens on one processor (tests/bench/generator.py); the gate without a
ruleset shows how much of the time is not the firewall's.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from appliance.core.desired import compile_box
from tests.bench.figures import Bench, spread
from tests.bench.generator import Flow, Generator, mac_of, number, one_processor
from tests.bench.sites import Peer
from tests.bench.sites import gate as site
from tests.lab import Lab, Node

NONE, FEW, MANY = 0, 10, 1000
SIZES = (NONE, FEW, MANY)
SECONDS = 0.3
RUNS = 15
SETTLE_SECONDS = 3
FLOWS = 1000
CONNECTIONS = 30_000
HOST = "192.168.10.20"
INTERNET = "203.0.113.1"
NOBODY = "02:00:00:00:00:99"
"""The Ethernet address that the gate sends to: the far end counts such frames and drops them unread."""


@dataclass
class Gate:
    """One gate with what surrounds it."""

    lab: Lab
    peers: int
    kinds: ClassVar = ("peers' addresses to the office", "peers' networks to the office", "office to internet")

    def build(self) -> Gate:
        lab, size = self.lab, self.peers
        self.node = lab.node(f"gate-{size}")
        self.tunnel = self._cable("wg-office", "10.20.0.1/16")
        self.office = self._cable("enp2s0", "192.168.10.1/24")
        self.internet = self._cable("enp1s0", "203.0.113.2/24")
        self.node.run("ip", "neigh", "add", HOST, "lladdr", NOBODY, "dev", "enp2s0", "nud", "permanent")
        self.node.run("ip", "neigh", "add", INTERNET, "lladdr", NOBODY, "dev", "enp1s0", "nud", "permanent")
        self.node.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        everyone = [Peer(index) for index in range(size or FEW)]
        self.node.wire([f"route add {peer.allowed[1]} dev wg-office" for peer in everyone])
        if size:
            self.node.nft(compile_box(site(size).encode(), None).ruleset.plain)
        self._generators(everyone)
        return self

    def _cable(self, device: str, address: str) -> Node:
        other = self.lab.node(f"{device}-{self.peers}")
        words = ["ip", "link", "add", "name", device, "netns", str(self.node.pid), "type", "veth"]
        subprocess.run([*words, "peer", "name", "eth0", "netns", str(other.pid)], check=True)
        other.wire(["link set eth0 up"])
        self.node.wire([f"link set {device} up", f"address add {address} dev {device}"])
        return other

    def _generators(self, peers: Sequence[Peer]) -> None:
        """The same number of flows whatever the number of peers, the last peers first; all are allowed."""
        host, internet = number(HOST), number(INTERNET)
        turn = [(peers[-1 - index % len(peers)], 1024 + index // len(peers)) for index in range(CONNECTIONS)]
        few = turn[:FLOWS]
        inside = number("192.168.10.21")
        flows = {
            self.kinds[0]: [Flow(peer.address, port, host, 443) for peer, port in few],
            self.kinds[1]: [Flow(peer.network + 7, port, host, 443) for peer, port in few],
            self.kinds[2]: [Flow(inside + index % 200, 1024 + index // 200, internet, 443) for index in range(FLOWS)],
        }
        into_tunnel, into_office = mac_of(self.node, "wg-office"), mac_of(self.node, "enp2s0")
        self.streams = {
            kind: Generator(self.office, "eth0", into_office, some)
            if kind == self.kinds[2]
            else Generator(self.tunnel, "eth0", into_tunnel, some)
            for kind, some in flows.items()
        }
        mixed = [
            Flow(peer.address if index % 2 else peer.network + 7, port, host, 443)
            for index, (peer, port) in enumerate(turn)
        ]
        self.mixed = Generator(self.tunnel, "eth0", into_tunnel, mixed[:FLOWS])
        self.connections = Generator(self.tunnel, "eth0", into_tunnel, mixed)

    def packets(self, generator: Generator, far: Node) -> float:
        """Packets a second that came out at the far end."""
        before = _received(far)
        took = generator.run(SECONDS)
        return (_received(far) - before) / took

    def per_second(self, kind: str) -> float:
        return self.packets(self.streams[kind], self.internet if kind == self.kinds[2] else self.office)

    def new_connections(self) -> float:
        """Connections a second, none of which conntrack knew; all must have come through."""
        self.node.run("conntrack", "-F")
        before = _received(self.office)
        took = self.connections.once()
        through = _received(self.office) - before
        assert through >= CONNECTIONS * 0.99, f"only {through} of {CONNECTIONS} connections came through"
        return through / took


def _received(node: Node) -> int:
    with open(f"/proc/{node.pid}/net/dev") as file:
        words = next(line for line in file if line.lstrip().startswith("eth0:")).partition(":")[2].split()
    return int(words[1])


def measure(bench: Bench) -> None:
    bench.say("firewall: three gates")
    with Lab("bench-firewall") as lab:
        gates = {size: Gate(lab, size).build() for size in SIZES}
        # What ran before is still being cleared away.
        time.sleep(SETTLE_SECONDS)
        with one_processor():
            bench.say(f"firewall: packets and connections, {RUNS} rounds")
            mixed = _alternate(gates, lambda gate: gate.packets(gate.mixed, gate.office))
            kinds = {kind: _alternate(gates, lambda gate: gate.per_second(kind)) for kind in Gate.kinds}  # noqa: B023
            connections = _alternate(gates, Gate.new_connections)
    bench.higher("firewall-pps-1000-vs-10", "packets/s", mixed[MANY], mixed[FEW], "10 peers and rules", 0.95)
    bench.higher("firewall-conns-1000-vs-10", "new/s", connections[MANY], connections[FEW], "10 peers and rules", 0.95)
    for what, found in {"all peers' addresses and networks": mixed, **kinds, "new connections": connections}.items():
        ratio = statistics.median(found[MANY]) / statistics.median(found[FEW])
        bench.note(
            f"{what}, a second on one processor: no ruleset {spread(found[NONE], '')},"
            f" 10 peers {spread(found[FEW], '')}, 1,000 peers {spread(found[MANY], '')}; 1,000 beside 10: {ratio:.3f}"
        )


def _alternate(gates: dict[int, Gate], run: Callable[[Gate], float]) -> dict[int, list[float]]:
    """Runs of each gate in turn, so that other load meets all of them; the first round does not count."""
    found: dict[int, list[float]] = {size: [] for size in gates}
    for gate in gates.values():
        run(gate)
    for _, size in itertools.product(range(RUNS), gates):
        found[size].append(run(gates[size]))
    return found
