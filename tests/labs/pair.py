"""Two boxes that stand in for each other, a branch, two people behind one NAT, an office host.

                     internet (router)
             203.0.113.1 │ 198.51.100.1 │ 192.0.2.1
        ┌────────────────┤              ├───────────────┐
    wan │ .2         wan │ .3       wan │ .2        wan │ .2
   ┌────┴────┐      ┌────┴────┐    ┌────┴────┐     ┌────┴────┐
   │  alpha  │      │  bravo  │    │ branch  │     │home(NAT)│
   └────┬────┘      └────┬────┘    └─────────┘     └────┬────┘
    lan │ .2         lan │ .3       10.20.0.2       lan │
        └──────┬─────────┘                         ┌────┴────┐
          ┌────┴────┐                              │ laptop, │
          │  host   │ .20   gateway .1             │ phone   │
          └─────────┘                              └─────────┘
                                                    10.20.0.10, .11

Virtual addresses: 203.0.113.10 and 192.168.10.1. alpha is preferred. Branch, laptop and phone are stock wg-quick peers
that talk to 203.0.113.10:51820.
"""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.lab import Box, KeyPair, Lab, Node, WgPeer, genkey, wait_for, wg_quick_peer
from tests.labs.office import status
from tests.labs.wiring import confirmed

VIRTUAL = "203.0.113.10"
LAN_ROUTER = "192.168.10.1"
HOST = "192.168.10.20"
BRANCH = "10.20.0.2"
LAPTOP = "10.20.0.10"
PHONE = "10.20.0.11"

YAML = """\
version: 1
site: zurich
boxes:
  alpha:
    interfaces:
      wan: {{device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}}
      lan: {{device: enp2s0, address: 192.168.10.2/24}}
  bravo:
    interfaces:
      wan: {{device: enp1s0, address: 203.0.113.3/24, gateway: 203.0.113.1}}
      lan: {{device: enp2s0, address: 192.168.10.3/24}}
failover:
  prefer: alpha
  virtual_addresses:
    wan: 203.0.113.10/24
    lan: 192.168.10.1/24
  pair_link: lan
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      laptop: {{public_key: "{laptop}", address: 10.20.0.10}}
      phone: {{public_key: "{phone}", address: 10.20.0.11}}
      branch: {{public_key: "{branch}", address: 10.20.0.2}}
firewall:
  allow:
    - {{from: lan, to: wan}}
    - {{from: lan, to: office}}
    - {{from: office, to: lan}}
  masquerade: [wan]
"""

PEER = """\
[Interface]
PrivateKey = {private}
Address = {address}/32
[Peer]
PublicKey = {office}
Endpoint = 203.0.113.10:51820
AllowedIPs = 10.20.0.0/24, 192.168.10.0/24
{more}
"""


REMOTE = {"laptop": LAPTOP, "phone": PHONE, "branch": BRANCH}
"""The peers, and their addresses in the tunnel."""


@dataclass
class Surroundings:
    """Everything in the drawing but the pair itself, and the keys of all."""

    lab: Lab
    keys: dict[str, KeyPair] = field(
        default_factory=lambda: {name: genkey() for name in ("office", "alpha", "bravo", *REMOTE)}
    )
    peers: list[WgPeer] = field(default_factory=list)
    yaml: str = YAML
    """appliance.yaml, with the public keys of the peers left open."""
    delay_ms: float = 0
    """Each way, between the internet and branch and home: half a round trip."""

    def wire(self) -> None:
        lab = self.lab
        self.wan, self.lan = lab.switch("wan"), lab.switch("lan")
        home_lan = lab.switch("home-lan")
        branch_wan, home_wan = (
            lab.line(name, self.delay_ms) if self.delay_ms else lab.switch(name) for name in ("branch-wan", "home-wan")
        )
        self.internet: Node = lab.node("internet")
        self.internet.attach(self.wan, "zurich", ["203.0.113.1/24"])
        self.internet.attach(branch_wan, "branch", ["198.51.100.1/24"])
        self.internet.attach(home_wan, "home", ["192.0.2.1/24"])
        self.internet.forward()
        self.host: Node = lab.node("host")
        self.host.attach(self.lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")
        self.branch: Node = lab.node("branch")
        self.branch.attach(branch_wan, "eth0", ["198.51.100.2/24"], gateway="198.51.100.1")
        self.home: Node = lab.node("home")
        self.home.attach(home_wan, "wan", ["192.0.2.2/24"], gateway="192.0.2.1")
        self.home.attach(home_lan, "lan", ["192.168.1.1/24"])
        self.home.masquerade("wan")
        self.laptop: Node = lab.node("laptop")
        self.laptop.attach(home_lan, "eth0", ["192.168.1.10/24"], gateway="192.168.1.1")
        self.phone: Node = lab.node("phone")
        self.phone.attach(home_lan, "eth0", ["192.168.1.11/24"], gateway="192.168.1.1")

    def start_peers(self) -> None:
        """Laptop, phone and branch bring their tunnels up."""
        for node in (self.laptop, self.phone, self.branch):
            private, office = self.keys[node.name].private, self.keys["office"].public
            more = "" if node is self.branch else "PersistentKeepalive = 25"
            text = PEER.format(private=private, address=REMOTE[node.name], office=office, more=more)
            self.peers.append(wg_quick_peer(node, text))


class Duo(Surroundings):
    def build(self) -> Duo:
        self.wire()
        self.alpha, self.bravo = (self._box(name) for name in ("alpha", "bravo"))
        return self

    def _box(self, name: str) -> Box:
        box = self.lab.box(name)
        box.attach(self.wan, "enp1s0")
        box.attach(self.lan, "enp2s0")
        other = "bravo" if name == "alpha" else "alpha"
        keys = box.data / "appliance/keys"
        keys.mkdir(parents=True)
        (box.data / "appliance/box").write_text(name)
        for file, text in (
            ("wg-office.key", self.keys["office"].private),
            ("wg-office.pub", self.keys["office"].public),
            ("wg-pair.key", self.keys[name].private),
            ("wg-pair.pub", self.keys[name].public),
            ("pair-partner.pub", self.keys[other].public),
        ):
            (keys / file).write_text(text)
            (keys / file).chmod(0o600)
        public = {each: self.keys[each].public for each in REMOTE}
        confirmed(box, self.yaml.format(**public))
        return box

    def boot(self) -> Duo:
        starts = [threading.Thread(target=box.boot) for box in (self.alpha, self.bravo)]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        self.start_peers()
        return self

    def master(self) -> Box | None:
        """The box that says it is, if exactly one does."""
        masters = [box for box in (self.alpha, self.bravo) if box.running and pair(box).get("role") == "master"]
        return masters[0] if len(masters) == 1 else None

    def settled(self, wanted: Box | None = None, timeout: float = 20) -> Box:
        """Waits until one box is master (the `wanted` one)."""
        wait_for(lambda: (found := self.master()) and wanted in (None, found), timeout, "one box is master")
        found = self.master()
        assert found
        return found


def ready(box: Box) -> None:
    """It could take over; a box that gave the role away on request does not want it, but takes it if it must."""
    fine: tuple[list[str], ...] = ([], ["it gave the role away on request"])
    wait_for(lambda: pair(box).get("not_ready") in fine, 30, f"{box.name} could take over")


def hand_over(box: Box, other: str, patience: float = 10, every: float = 0.2) -> None:
    """As soon as the box has heard that the other one is ready; a supervisor that was just started may not have yet."""

    def asked() -> bool:
        return f"asked {other}" in box.run("appliance", "handover", check=False).stdout

    wait_for(asked, patience, f"{box.name} hands over", every)


def prefer_alpha(duo: Duo) -> None:
    """Alpha has the role, again. That it gave it away, or lost it time and again, is forgiven: tests share one lab."""
    forgiven = ("it lost the role", "it gave the role away")

    def has_it() -> bool:
        if any(reason.startswith(forgiven) for reason in pair(duo.alpha).get("not_ready", [])):
            duo.bravo.run("appliance", "handover", check=False)
        return duo.master() is duo.alpha

    wait_for(has_it, 40, "alpha is master")
    ready(duo.bravo)


def has_virtual(node: Node) -> bool:
    """The node, or the box, has the virtual address on its wan."""
    return VIRTUAL in _ip(node, "-4", "address", "show", "to", f"{VIRTUAL}/32")


def tunnel_is_down(node: Node) -> bool:
    """The tunnel's interface is there, and down."""
    return "state DOWN" in _ip(node, "link", "show", "dev", "wg-office")


def _ip(node: Node, *words: str) -> str:
    """Asked from outside, which costs a box nothing."""
    argv = ["nsenter", f"--net={node.netns}", "ip", "-o", *words]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=10).stdout


def pair(box: Box) -> dict[str, Any]:
    """What `status --json` says of the pair, {} while there is nothing to say."""
    try:
        return dict(status(box).get("pair") or {})
    except ValueError:
        return {}
