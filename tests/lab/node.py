"""Switches, nodes, and the cables between them."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.lab.log import Log
from tests.lab.namespace import Namespace
from tests.lab.waiting import wait_for


class Switch(Namespace):
    """An Ethernet switch: a bridge in a namespace of its own, so that no node sees another's cables."""

    def __init__(self, name: str, log: Log, mtu: int = 1500) -> None:
        super().__init__(name, log)
        self.mtu = mtu
        self._ports = count(1)
        # A switch has no addresses and says nothing by itself; ports forward from the first packet on.
        self.sh(
            "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6;"
            f"ip link add br0 type bridge forward_delay 0 mcast_snooping 0; ip link set br0 mtu {mtu} up"
        )

    def next_port(self) -> str:
        return f"port{next(self._ports)}"

    def take(self, port: str, alias: str) -> None:
        """A cable was plugged in."""
        self.run("ip", "link", "set", port, "master", "br0", "up", "alias", alias)

    def isolate(self, ports: Sequence[str], on: bool = True) -> None:
        """These ports hear each other no more, and everybody else as before (bridge(8), isolated)."""
        for port in ports:
            self.run("bridge", "link", "set", "dev", port, "isolated", "on" if on else "off")


class Line(Switch):
    """A long cable between two nodes: whatever goes in comes out `milliseconds` later, each way.

    Measured here (tests/labs/test_harness.py): 10 ms each way give pings of 20.4 ms, 90 of 100 below 21.2 ms, and a TCP
    connection of 1,076 Mbit/s.
    """

    def __init__(self, name: str, log: Log, milliseconds: float) -> None:
        super().__init__(name, log)
        self.milliseconds = milliseconds
        self.ends: list[str] = []
        self.program: subprocess.Popen[str] | None = None

    def take(self, port: str, alias: str) -> None:
        self.run("ip", "link", "set", port, "up", "alias", alias)
        self.ends.append(port)
        if len(self.ends) == 2:
            program = str(Path(__file__).parent / "programs/line.py")
            self.program = self.popen([sys.executable, program, *self.ends, str(self.milliseconds)])
            assert self.program.stdout is not None
            assert self.program.stdout.readline() == "ready\n"

    def close(self) -> None:
        super().close()
        if self.program:
            self.program.wait(10)
            assert self.program.stdout is not None
            self.program.stdout.close()


@dataclass
class Link:
    """A cable from a node's interface to a port of a switch."""

    node: "Node"
    switch: Switch
    ifname: str
    addresses: Sequence[str]
    gateways: Sequence[str]
    mtu: int
    mac: str
    port: str = ""

    def plug(self) -> None:
        """Make the cable and set the node's end up with its addresses."""
        self.port = self.switch.next_port()
        argv = ["ip", "link", "add", "name", self.ifname, "address", self.mac, "mtu", str(self.mtu)]
        argv += ["netns", str(self.node.pid), "type", "veth", "peer", "name", self.port]
        argv += ["mtu", str(self.mtu), "netns", str(self.switch.pid)]
        self.node.log.command("world", argv)
        subprocess.run(argv, check=True, timeout=10)
        self.switch.take(self.port, f"{self.node.name} {self.ifname}")
        batch = [f"link set {self.ifname} up"]
        # nodad: a lab's addresses are known to be unique, and waiting a second for each of them proves nothing.
        batch += [
            f"address add {address} dev {self.ifname}" + (" nodad" if ":" in address else "")
            for address in self.addresses
        ]
        batch += [f"route add default via {gateway}" for gateway in self.gateways]
        self.node.wire(batch)

    def cut(self) -> None:
        """Pull the cable: the node loses its carrier."""
        self.switch.run("ip", "link", "set", self.port, "down")

    def mend(self) -> None:
        self.switch.run("ip", "link", "set", self.port, "up")

    def unplug(self) -> None:
        """Take the interface away altogether, as a USB adapter that is drawn."""
        self.switch.run("ip", "link", "del", self.port)
        self.node.links.remove(self)


class Node(Namespace):
    """A host or router: plain Debian tools in a network of its own."""

    def __init__(self, name: str, log: Log) -> None:
        super().__init__(name, log)
        self.links: list[Link] = []

    def attach(
        self,
        switch: Switch,
        ifname: str,
        addresses: Sequence[str] = (),
        gateway: str | Sequence[str] | None = None,
        mtu: int | None = None,
    ) -> Link:
        """Plug a cable into `switch`. `gateway` becomes the default route: one address, or one of each family."""
        gateways = [gateway] if isinstance(gateway, str) else list(gateway or ())
        # The same name has the same MAC in every boot and every run: captures can be compared.
        digest = hashlib.sha256(f"{self.name} {ifname}".encode()).hexdigest()
        mac = "02:" + ":".join(digest[i : i + 2] for i in range(0, 10, 2))
        link = Link(self, switch, ifname, list(addresses), gateways, mtu or switch.mtu, mac)
        link.plug()
        self.links.append(link)
        return link

    def wire(self, batch: Sequence[str]) -> None:
        """Run ip(8) lines in the node's network, whatever runs in it."""
        self.log.line(f"[{self.name}] ip: {'; '.join(batch)}")
        subprocess.run(
            ["nsenter", f"--net={self.netns}", "ip", "-batch", "-"], input="\n".join(batch), text=True, check=True
        )

    def forward(self) -> None:
        """Become a router, for both families."""
        self.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")

    def nft(self, text: str) -> None:
        self.run("nft", "-f", "-", stdin=text)

    def masquerade(self, ifname: str) -> None:
        """Forward, and hide everything behind the address of `ifname`: the router at anybody's home."""
        self.forward()
        self.nft(
            "table inet lab_nat { chain post { type nat hook postrouting priority srcnat;\n"
            f'oifname "{ifname}" masquerade\n'
            "}\n}"
        )

    def drop(self, rule: str, hook: str = "forward") -> None:
        """Drop what `rule` (nft words) matches: `drop("icmp type destination-unreachable")` is a black hole."""
        self.nft(
            f"table inet lab_drop {{ chain {hook} {{ type filter hook {hook} priority -10;\n{rule} counter drop\n}}\n}}"
        )

    def undrop(self) -> None:
        self.nft("table inet lab_drop\ndelete table inet lab_drop")

    def ping(self, address: str, *options: str, timeout: float = 5) -> None:
        """Wait until `address` answers one ping."""
        wait_for(lambda: self.pings(address, *options), timeout, f"{self.name} reaches {address}")

    def pings(self, address: str, *options: str) -> bool:
        return self.run("ping", "-n", "-c1", "-W0.5", *options, address, check=False).returncode == 0

    def address(self, ifname: str, family: int = 4) -> str:
        """The first global address that `ifname` has now, or nothing."""
        words = self.sh(f"ip -{family} -o address show dev {ifname} scope global", check=False).split()
        return words[3].split("/")[0] if len(words) > 3 else ""

    def dump(self) -> None:
        """Put what explains a failure into the log."""
        for argv in (["ip", "address"], ["ip", "route"], ["ip", "-6", "route"], ["nft", "list", "ruleset"]):
            self.run(argv, check=False)
