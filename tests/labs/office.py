"""The office that the labs and the demo are about: one box, a branch, a laptop behind NAT, an office host.

                          internet (router, DNS)
                  203.0.113.1 │ 198.51.100.1 │ 192.0.2.1
            ┌─────────────────┘      │       └───────────────┐
        wan │ .2                 wan │ .2                wan │ .2
      ┌─────┴─────┐            ┌─────┴─────┐           ┌─────┴─────┐
      │  zurich   │ ══ office ═│  geneva   │           │ home (NAT)│
      │  (a box)  │            │  (a box)  │           └─────┬─────┘
      └─────┬─────┘            └─────┬─────┘                 │ 192.168.1.0/24
        lan │ 192.168.10.1       lan │ 192.168.20.1          │ .10
     ┌──────┴──────┐          ┌──────┴──────┐         ┌──────┴──────┐
     │ office host │          │ branch host │         │   laptop    │ ══ office (wg-quick)
     │     .20     │          │     .20     │         │    alice    │
     └─────────────┘          └─────────────┘         └─────────────┘

The tunnel `office` is 10.20.0.0/24: zurich .1, geneva .2, alice .10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jsonschema  # type: ignore[import-untyped]

from appliance.core.status_schema import json_schema
from tests.lab import Box, KeyPair, Lab, Node, Switch, WgPeer, genkey, genpsk, wait_for, wg_quick_peer
from tests.labs.wiring import apply

STATUS_SCHEMA = json_schema()
ZURICH_WAN = "203.0.113.2"
GENEVA_WAN = "198.51.100.2"
OFFICE_HOST = "192.168.10.20"
BRANCH_HOST = "192.168.20.20"
ALICE = "10.20.0.10"

ZURICH = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {{device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}}
      lan: {{device: enp2s0, address: 192.168.10.1/24}}
dns: [203.0.113.1]
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      alice:
        public_key: {alice}
        preshared_key: {{secret: psk-alice}}
        address: 10.20.0.10
      geneva:
        public_key: {geneva}
        endpoint: geneva.example.net:51820
        address: 10.20.0.2
        networks: [192.168.20.0/24]
        keepalive: 25
firewall:
  allow:
    - {{from: lan, to: wan}}
    - {{from: lan, to: office.geneva}}
    - {{from: office.geneva, to: lan}}
    - {{from: office.alice, to: lan}}
    - {{from: office.alice, to: office.geneva, services: [ping]}}
  masquerade: [wan]
"""

GENEVA = """\
version: 1
site: geneva
boxes:
  geneva:
    interfaces:
      wan: {{device: enp1s0, address: 198.51.100.2/24, gateway: 198.51.100.1}}
      lan: {{device: enp2s0, address: 192.168.20.1/24}}
dns: [198.51.100.1]
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.2/24]
    peers:
      zurich:
        public_key: {zurich}
        endpoint: 203.0.113.2:51820
        address: 10.20.0.1
        networks: [192.168.10.0/24, 10.20.0.10/32]
firewall:
  allow:
    - {{from: lan, to: wan}}
    - {{from: lan, to: office}}
    - {{from: office, to: lan}}
  masquerade: [wan]
"""

LAPTOP = """\
[Interface]
PrivateKey = {private}
Address = 10.20.0.10/32
[Peer]
PublicKey = {zurich}
PresharedKey = {psk}
Endpoint = 203.0.113.2:51820
AllowedIPs = 10.20.0.0/24, 192.168.10.0/24, 192.168.20.0/24
PersistentKeepalive = 25
"""


@dataclass
class Office:
    """The nodes of the drawing. `build` wires and boots them; `go_online` hands each box its file."""

    lab: Lab
    keys: dict[str, KeyPair] = field(default_factory=lambda: {name: genkey() for name in ("zurich", "geneva", "alice")})
    psk: str = field(default_factory=genpsk)
    laptop_tunnel: WgPeer | None = None
    patience: float = 30
    """Seconds that a boot or an apply may take; more where the processor is emulated."""

    def build(self) -> Office:
        lab = self.lab
        self.wan: Switch = lab.switch("wan")
        self.lan: Switch = lab.switch("lan")
        branch_wan, branch_lan, home_wan, home_lan = (
            lab.switch(name) for name in ("branch-wan", "branch-lan", "home-wan", "home-lan")
        )
        self.internet: Node = lab.node("internet")
        self.internet.attach(self.wan, "zurich", ["203.0.113.1/24"])
        self.internet.attach(branch_wan, "geneva", ["198.51.100.1/24"])
        self.internet.attach(home_wan, "home", ["192.0.2.1/24"])
        self.internet.forward()
        self.zurich: Box = lab.box("zurich")
        self.zurich.attach(self.wan, "enp1s0")
        self.zurich.attach(self.lan, "enp2s0")
        self.geneva: Box = lab.box("geneva")
        self.geneva.attach(branch_wan, "enp1s0")
        self.geneva.attach(branch_lan, "enp2s0")
        self.host: Node = lab.node("host")
        self.host.attach(self.lan, "eth0", [f"{OFFICE_HOST}/24"], gateway="192.168.10.1")
        self.branch_host: Node = lab.node("branch-host")
        self.branch_host.attach(branch_lan, "eth0", [f"{BRANCH_HOST}/24"], gateway="192.168.20.1")
        self.home: Node = lab.node("home")
        self.home.attach(home_wan, "wan", ["192.0.2.2/24"], gateway="192.0.2.1")
        self.home.attach(home_lan, "lan", ["192.168.1.1/24"])
        self.home.masquerade("wan")
        self.laptop: Node = lab.node("laptop")
        self.laptop.attach(home_lan, "eth0", ["192.168.1.10/24"], gateway="192.168.1.1")
        self.names({"geneva.example.net": GENEVA_WAN, "zurich.example.net": ZURICH_WAN})
        for box in (self.zurich, self.geneva):
            box.boot(self.patience)
            self._key(box)
        self.zurich.put("/data/appliance/secrets/psk-alice", self.psk, 0o600)
        return self

    def _key(self, box: Box) -> None:
        """The lab knows every key beforehand, so that both sides' files can be written before either box runs."""
        box.put("/data/appliance/keys/wg-office.key", self.keys[box.name].private, 0o600)

    def names(self, hosts: dict[str, str]) -> None:
        """What the internet's name server says; replaces what it said before, without a time to live."""
        self.internet.sh("! test -e /run/dns.pid || kill $(cat /run/dns.pid) || true", check=False)
        wait_for(lambda: ":53 " not in self.internet.sh("ss -Hlun"), 5, "the name server before is gone")
        # It knows all of example.net, so that what a name does not have is an empty answer, not a refusal.
        records = ["--local=/example.net/", *(f"--address=/{name}/{address}" for name, address in hosts.items())]
        self.internet.run("dnsmasq", "--no-resolv", "--no-hosts", "--local-ttl=1", "--pid-file=/run/dns.pid", *records)

    def yaml(self, box: str, text: str | None = None) -> str:
        """A box's file with the keys filled in."""
        public = {name: pair.public for name, pair in self.keys.items()}
        return (text or {"zurich": ZURICH, "geneva": GENEVA}[box]).format(**public)

    def apply(self, box: Box, text: str | None = None, check: bool = True) -> str:
        """Hands the file to the box; returns what `appliance apply` said."""
        box.put("/data/appliance/appliance.yaml", self.yaml(box.name, text), 0o600)
        return apply(box, check=check, timeout=self.patience)

    def go_online(self) -> Office:
        # Zurich calls (keepalive), so geneva listens first: an unanswered call is repeated after 5 s only.
        for box in (self.geneva, self.zurich):
            self.apply(box)
        laptop = LAPTOP.format(private=self.keys["alice"].private, zurich=self.keys["zurich"].public, psk=self.psk)
        self.laptop_tunnel = wg_quick_peer(self.laptop, laptop)
        return self


def status(box: Box) -> dict[str, Any]:
    """What `appliance status --json` says, which must be as its schema says."""
    said = dict(json.loads(box.run("appliance", "status", "--json", check=False).stdout))
    jsonschema.validate(said, STATUS_SCHEMA)
    return said


def peer_state(box: Box, name: str) -> dict[str, Any]:
    peers = [peer for tunnel in status(box)["tunnels"] for peer in tunnel["peers"]]
    return next(peer for peer in peers if peer["name"] == name)


def in_order(box: Box, timeout: float = 5) -> None:
    """Waits until the box says that nothing differs from its configuration."""
    wait_for(
        lambda: box.run("appliance", "status", "--json", check=False).returncode == 0,
        timeout,
        f"{box.name} is as its file says",
    )


@contextmanager
def slow_to_start(box: Box) -> Iterator[None]:
    """The supervisor is on its way for as long as this lasts, as on a box with a slow disk; then it is there."""
    late = "/run/systemd/system/appliance.service.d/late.conf"
    box.put(late, "[Service]\nExecStartPre=/bin/sh -c 'until [ -e /run/go ]; do sleep 0.1; done'\n")
    box.sh("systemctl daemon-reload; systemctl stop appliance; systemctl start --no-block appliance")
    wait_for(lambda: box.sh("systemctl is-active appliance || true").strip() == "activating", 10, "it is on its way")
    try:
        yield
    finally:
        box.sh(f"touch /run/go; systemctl start appliance; rm -r /run/go {late}; systemctl daemon-reload")
