"""A box with 250 peers, 50 of them with traffic, while its configuration changes: nobody else loses a packet, and what
`appliance plan` says beforehand of each change is what happens.

       people (50 wireguard-go, wg0 .. wg49)          office host
                 │ 203.0.113.1                            │ 192.168.10.20
             wan │ .2                                 lan │
              ┌──┴────────────────────────────────────────┴──┐
              │  gate   tunnel office, 10.20.0.1/16          │
              └──────────────────────────────────────────────┘

Person N is pN, 10.20.1.N; p50 .. p249 have keys that nobody has the other half of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.bench.sites import public_key
from tests.lab import Box, KeyPair, Lab, ManyProbes, Node, genkey, wait_for
from tests.labs.wiring import apply, give_key, side_by_side

PEERS, LIVE = 250, 50
HOST = "192.168.10.20"
FILE = "/data/new.yaml"
UNTOUCHED = "no tunnel is touched"


@dataclass(frozen=True)
class Person:
    key: str
    networks: str = ""
    secret: str = ""

    def lines(self, name: str, number: int) -> list[str]:
        return [
            f"      {name}:",
            f"        public_key: {self.key}",
            f"        address: 10.20.{1 + number // 250}.{number % 250}",
            *([f"        networks: [{self.networks}]"] if self.networks else []),
            *([f"        preshared_key: {{secret: {self.secret}}}"] if self.secret else []),
        ]


@dataclass(frozen=True)
class Site:
    """The file, of which each change makes another."""

    people: tuple[Person | None, ...]
    port: int = 51820

    def but(self, number: int, person: Person | None) -> Site:
        return replace(self, people=(*self.people[:number], person, *self.people[number + 1 :]))

    def text(self) -> str:
        here = [(number, person) for number, person in enumerate(self.people) if person]
        peers = [line for number, person in here for line in person.lines(f"p{number}", number)]
        rules = [f"    - {{from: office.p{number}, to: lan}}" for number, _ in here]
        return "\n".join(
            [
                "version: 1\nsite: hitless\nboxes:\n  gate:\n    interfaces:",
                "      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}",
                "      lan: {device: enp2s0, address: 192.168.10.1/24}",
                f"tunnels:\n  office:\n    listen_port: {self.port}\n    addresses: [10.20.0.1/16]\n    peers:",
                *peers,
                "firewall:\n  allow:",
                *rules,
                "",
            ]
        )


@dataclass
class Drawing:
    box: Box
    people: Node
    host: Node
    keys: list[KeyPair]
    site: Site
    probes: ManyProbes | None = None

    def change(self, site: Site) -> tuple[str, dict[str, int]]:
        """Applies and confirms; what was forecast, and how many packets each live peer lost meanwhile."""
        assert self.probes
        self.probes.lost()
        self.box.put(FILE, site.text())
        plan = json.loads(self.box.run("appliance", "plan", "--json", FILE, check=False).stdout)
        apply(self.box, FILE)
        lost = self.probes.lost()
        self.site = site
        forecast = "; ".join(plan["disturbs"]) if plan["steps"] else "nothing to do"
        print(f"{forecast}: {sum(lost.values())} packets lost, by {len(lost)} of {LIVE} peers")
        return forecast, lost


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Iterator[Drawing]:
    wan, lan = shared_lab.switch("wan"), shared_lab.switch("lan")
    people, host, box = shared_lab.node("people"), shared_lab.node("host"), shared_lab.box("gate")
    people.attach(wan, "eth0", ["203.0.113.1/24"])
    host.attach(lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")
    box.attach(wan, "enp1s0")
    box.attach(lan, "enp2s0")
    box.boot()
    own, keys = genkey(), [genkey() for _ in range(LIVE)]
    give_key(box, "office", own)
    site = Site(tuple(Person(keys[n].public if n < LIVE else public_key(n)) for n in range(PEERS)))
    box.put(FILE, site.text())
    apply(box, FILE)
    side_by_side(lambda number: _connect(people, number, keys[number], own.public), range(LIVE))
    drawn = Drawing(box, people, host, keys, site)
    with ManyProbes(people, [f"wg{number}" for number in range(LIVE)], host, HOST) as drawn.probes:
        wait_for(lambda: not drawn.probes or not drawn.probes.lost(), 20, "everybody is answered")
        yield drawn


def _connect(people: Node, number: int, pair: KeyPair, public: str) -> None:
    device = f"wg{number}"
    people.put(f"/etc/wireguard/{device}.key", pair.private, 0o600)
    people.sh(
        f"""wireguard-go {device}
        wg set {device} private-key /etc/wireguard/{device}.key peer {public} endpoint 203.0.113.2:51820 \
            allowed-ips 10.20.0.0/16,192.168.10.0/24
        ip address add 10.20.1.{number}/32 dev {device}
        ip link set {device} mtu 1420 up
        ip route add 192.168.10.0/24 dev {device} metric {100 + number}"""
    )


def test_added(drawing: Drawing) -> None:
    site = replace(drawing.site, people=(*drawing.site.people, Person(public_key(PEERS))))
    assert drawing.change(site) == (UNTOUCHED, {})


def test_changed(drawing: Drawing) -> None:
    """One without traffic, and one with."""
    for number in (100, 7):
        person = drawing.site.people[number]
        assert person
        more = drawing.site.but(number, replace(person, networks=f"10.77.{number}.0/24"))
        assert drawing.change(more) == (UNTOUCHED, {})


def test_removed(drawing: Drawing) -> None:
    forecast, lost = drawing.change(drawing.site.but(101, None))
    assert "office: 1 peers are cut off" in forecast and lost == {}


def test_twice(drawing: Drawing) -> None:
    assert drawing.change(drawing.site) == ("nothing to do", {})


def test_a_live_peer_with_another_key(drawing: Drawing) -> None:
    """It is out until it has the key as well; nobody else is."""
    new = genkey()
    person = drawing.site.people[30]
    assert person
    forecast, lost = drawing.change(drawing.site.but(30, replace(person, key=new.public)))
    assert "office: 1 peers are cut off" in forecast and lost.keys() == {"wg30"}
    drawing.people.put("/etc/wireguard/wg30.key", new.private, 0o600)
    drawing.people.run("wg", "set", "wg30", "private-key", "/etc/wireguard/wg30.key")
    wait_for(lambda: drawing.probes and not drawing.probes.lost(), 20, "it is back with its new key")


def test_a_live_peer_with_a_preshared_key(drawing: Drawing) -> None:
    drawing.box.put("/data/appliance/secrets/psk", drawing.keys[0].private, 0o600)
    person = drawing.site.people[31]
    assert person
    forecast, lost = drawing.change(drawing.site.but(31, replace(person, secret="psk")))
    assert forecast == "office: 1 peers shake hands anew (preshared key)" and lost.keys() == {"wg31"}
    forecast, lost = drawing.change(drawing.site.but(31, person))
    assert forecast == "office: 1 peers shake hands anew (preshared key)" and lost.keys() == {"wg31"}
    wait_for(lambda: drawing.probes and not drawing.probes.lost(), 20, "it is back without")


def test_the_port(drawing: Drawing) -> None:
    """A forecast that is bad for all: who gets an answer that was on its way then follows it to the new port, the
    others call where nobody listens."""
    forecast, lost = drawing.change(replace(drawing.site, port=51821))
    assert forecast == "office: 250 peers must reach it anew (key or port changed)"
    assert lost
    drawing.change(replace(drawing.site, port=51820))
    wait_for(lambda: drawing.probes and not drawing.probes.lost(), 30, "everybody is back")
