"""One PPPoE session, and two boxes that have it in turn.

internet    203.0.113.1; a provider with one session for a hardware address, 100.64.0.10 for it, and whoever is
    │       silent is forgotten after 20 s
    │       PPP inside Ethernet; no IP on the cable
────┴────┬───────────────────┐
  enp1s0 │ lease-wan  enp1s0 │ (lease-wan, down)
    ┌────┴────┐         ┌────┴────┐
    │  alpha  │         │  bravo  │ ══ office ══ laptop (wg-quick, 198.51.100.7)
    └────┬────┘         └────┬────┘
     lan │ .2            lan │ .3      192.168.10.1 moves
         └─────────┬─────────┘
              ┌────┴────┐
              │ host    │ .20
              └─────────┘

This machine's kernel may have no PPP, and two booted boxes are too much for an emulated one: pppd, the kernel's
sessions and the provider's end are stand-ins that say the same on the wire (tests/lab/programs/ppp.py). The real ones
dial in tests/labs/test_pppoe.py.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from appliance.core.takeover.timers import Timers
from tests.lab import Box, Capture, Connections, Lab, Node, Probe, capture, wait_for, wg_quick_peer
from tests.labs.office import status
from tests.labs.pair import HOST, LAN_ROUTER, LAPTOP, Duo, hand_over, pair, prefer_alpha
from tests.labs.pppoe_provider import PASSWORD, USER
from tests.labs.pppoe_stand_in import OPEN_SESSIONS, StandIn, stand_in_for_pppd
from tests.labs.wiring import side_by_side

PATIENCE = 40
TIMERS = Timers()
WEB = "203.0.113.1"
ADDRESS = "100.64.0.10"
MAC = "6a:b5:d1:7c:15:e0"

YAML = """\
version: 1
site: zurich
boxes:
  alpha:
    interfaces:
      wan: {{device: enp1s0, address: pppoe, pppoe: {{user: USER, password: {{secret: provider}}}}}}
      lan: {{device: enp2s0, address: 192.168.10.2/24}}
  bravo:
    interfaces:
      wan: {{device: enp1s0, address: pppoe, pppoe: {{user: USER, password: {{secret: provider}}}}}}
      lan: {{device: enp2s0, address: 192.168.10.3/24}}
failover:
  prefer: alpha
  virtual_addresses:
    lan: 192.168.10.1/24
  pair_link: lan
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      laptop: {{public_key: "{laptop}", address: 10.20.0.10}}
firewall:
  allow:
    - {{from: lan, to: wan}}
    - {{from: office.laptop, to: lan}}
  masquerade: [wan]
""".replace("USER", USER)


DEAD = """\
table netdev fault {
    chain in { type filter hook ingress device "enp1s0" priority -500; policy drop; }
    chain out { type filter hook egress device "enp1s0" priority -500; policy drop; }
}"""
"""No frame gets through the card, and its link stays."""


class SessionDuo(Duo):
    def wire(self) -> None:
        lab = self.lab
        self.wan, self.lan, elsewhere = lab.switch("wan"), lab.switch("lan"), lab.switch("elsewhere")
        self.internet: Node = lab.node("internet")
        self.line = self.internet.attach(self.wan, "line")
        self.internet.attach(elsewhere, "laptop", ["198.51.100.1/24"])
        self.internet.sh(f"ip address add {WEB}/32 dev lo; sysctl -qw net.ipv6.conf.line.disable_ipv6=1")
        self.internet.forward()
        self.host: Node = lab.node("host")
        self.host.attach(self.lan, "eth0", [f"{HOST}/24"], gateway=LAN_ROUTER)
        self.laptop: Node = lab.node("laptop")
        self.laptop.attach(elsewhere, "eth0", ["198.51.100.7/24"], gateway="198.51.100.1")
        self.provider = StandIn(self.internet, "line", WEB, lent=ADDRESS)

    def _box(self, name: str) -> Box:
        box = super()._box(name)
        stand_in_for_pppd(box)
        secret = box.data / "appliance/secrets/provider"
        secret.parent.mkdir(mode=0o700)
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        return box

    def boot(self) -> SessionDuo:
        side_by_side(lambda box: box.boot(PATIENCE), (self.alpha, self.bravo))
        return self

    def start_peers(self) -> None:
        keys = self.keys
        wg_quick_peer(
            self.laptop,
            f"[Interface]\nPrivateKey = {keys['laptop'].private}\nAddress = {LAPTOP}/32\n"
            f"[Peer]\nPublicKey = {keys['office'].public}\nAllowedIPs = 10.20.0.0/24, 192.168.10.0/24\n"
            f"Endpoint = {ADDRESS}:51820\n",
        )


def online(box: Box) -> str:
    """Waits until the session is here; returns the address that came with it."""
    return wait_for(lambda: box.address("ppp-wan"), PATIENCE, f"{box.name} has the session", 0.5)


def number(box: Box) -> str:
    """The session's, as tcpdump writes it."""
    return f"0x{socket.ntohs(int(box.sh(f'cat {OPEN_SESSIONS}').split()[3], 16)):x}"


def silent(box: Box) -> None:
    wait_for(lambda: "ppp-wan" not in box.sh("ip -o link"), PATIENCE, f"{box.name} has no session", 0.1)
    assert ",UP" not in box.sh("ip -o link show lease-wan")


def in_order(box: Box) -> None:
    done = lambda: box.run("appliance", "status", "--json", check=False).returncode == 0  # noqa: E731
    wait_for(done, PATIENCE, f"{box.name} is as its file says", 2)


@contextmanager
def traffic(duo: SessionDuo, event: str) -> Iterator[None]:
    """Datagrams through tunnel and NAT while something happens; prints the longest gaps."""
    with ExitStack() as stack:
        probes = {
            "laptop→host": stack.enter_context(Probe(duo.laptop, duo.host, HOST, 0.02)),
            "host→internet": stack.enter_context(Probe(duo.host, duo.internet, WEB, 0.02)),
        }
        for probe in probes.values():
            probe.flowing(timeout=PATIENCE, packets=20)
        yield
        for probe in probes.values():
            probe.flowing(timeout=PATIENCE, packets=20)
    gaps = {name: probe.report.longest_gap_ms for name, probe in probes.items()}
    print(f"{event}: longest gap in ms: {', '.join(f'{name} {gap:.0f}' for name, gap in gaps.items())}")


@contextmanager
def kept(duo: SessionDuo, event: str) -> Iterator[None]:
    """The same, and TCP connections from behind the address live on, since the address stays the same."""
    with Connections(duo.host, duo.internet, WEB, 2) as connections:
        connections.opened()
        with traffic(duo, event):
            yield
        before = connections.report.moved
        wait_for(
            lambda: all(now > then for now, then in zip(connections.report.moved, before, strict=True)),
            PATIENCE,
            "both connections go on",
        )
        assert connections.report.ended == ()


def ended_then_dialled(said: Capture, session: str) -> None:
    """The first that the provider heard was that the old session is over; then he was asked for a new one."""
    ours = [line for line in said.lines if line.split()[1] == MAC]
    words = [next(word for word in ("PADT", "PADI", "PADR") if word in line) for line in ours]
    print(f"the provider hears: {' '.join(words)}")
    assert words[0] == "PADT" and f"PADT [ses {session}]" in ours[0], ours
    assert "PADI" in words and words.index("PADI") < words.index("PADR")


@pytest.fixture(scope="module")
def strange() -> list[Capture]:
    return []


@pytest.fixture(scope="module")
def duo(strange: list[Capture], request: pytest.FixtureRequest) -> Iterator[SessionDuo]:
    before = request.session.testsfailed
    with Lab("pppoe-pair", __doc__ or "") as lab:
        duo = SessionDuo(lab, yaml=YAML)
        duo.build()
        # The lab has a card up before its box boots, and the kernel of a card that is up looks for IPv6 routers.
        known = f"not ether src {MAC} and not ether src {duo.line.mac} and not ip6"
        try:
            with capture(duo.internet, "line", known, "-e") as said:
                strange.append(said)
                started = time.monotonic()
                duo.boot()
                booted = time.monotonic() - started
                online(duo.alpha)
                print(f"both boot: up after {booted:.1f} s, online after {time.monotonic() - started:.1f} s")
                duo.start_peers()
                yield duo
        except AssertionError:
            lab.dump()
            raise
        if request.session.testsfailed > before:
            lab.dump()


def test_one_dials_and_the_other_is_silent(duo: SessionDuo) -> None:
    assert online(duo.alpha) == ADDRESS
    silent(duo.bravo)
    for box in (duo.alpha, duo.bravo):
        in_order(box)
        assert MAC in box.sh("ip link show lease-wan")
    assert "dev ppp-wan" in duo.alpha.sh("ip route show table 50")
    known = f'"ppp-wan" : {ADDRESS}'
    wait_for(
        lambda: known in duo.bravo.sh("nft list map inet appliance leased_ipv4"), PATIENCE, "bravo knows it, too", 1
    )
    wan = status(duo.bravo)["interfaces"][0]
    assert (wan["carrier"], wan["addresses"], wan["session"]["elsewhere"]) == (True, [], True)
    with capture(duo.bravo, "enp1s0", "", "-Q", "out", "-e") as standby, kept(duo, "nothing happens"):
        pass
    assert standby.lines == []


def test_power_cut_of_the_master(duo: SessionDuo) -> None:
    """The dead session is ended by the other box: the provider would have known it for 20 s, and refused another."""
    session = number(duo.alpha)
    with capture(duo.internet, "line", "pppoed", "-e") as said, kept(duo, "power cut of the master"):
        duo.alpha.power_cut()
        assert online(duo.bravo) == ADDRESS
    ended_then_dialled(said, session)


def test_the_preferred_box_returns(duo: SessionDuo) -> None:
    session = number(duo.bravo)
    with capture(duo.internet, "line", "pppoed", "-e") as said, kept(duo, "preferred box boots and returns"):
        duo.alpha.boot(PATIENCE)
        assert online(duo.alpha) == ADDRESS
    ended_then_dialled(said, session)
    silent(duo.bravo)


def test_planned_handover_and_another_address(duo: SessionDuo) -> None:
    """Peers are called from the new address, and nothing hides behind the old one."""
    session = number(duo.alpha)
    with capture(duo.internet, "line", "pppoed", "-e") as said, kept(duo, "planned handover"):
        hand_over(duo.alpha, "bravo", PATIENCE, 2)
        assert online(duo.bravo) == ADDRESS
    ended_then_dialled(said, session)
    silent(duo.alpha)
    duo.provider.lend("100.64.0.77")
    with traffic(duo, "planned handover, and another address comes with it"):
        hand_over(duo.bravo, "alpha", PATIENCE, 2)
        assert online(duo.alpha) == "100.64.0.77"
    with capture(duo.internet, "any", f"src host {ADDRESS}") as stale, traffic(duo, "nothing happens"):
        in_order(duo.alpha)
    assert stale.lines == []


def test_a_killed_supervisor_costs_nothing(duo: SessionDuo) -> None:
    stood_still = lambda: duo.alpha.journal("-u", "appliance").count("stood still")  # noqa: E731
    session, before = number(duo.alpha), stood_still()
    with kept(duo, "supervisor killed"):
        duo.alpha.sh("kill -9 $(systemctl show --property=MainPID --value appliance)")
        wait_for(lambda: pair(duo.alpha).get("role") == "master", PATIENCE, "its successor knows what it is", 1)
        in_order(duo.alpha)
    # Where this machine had the boxes stand still, alpha did not hear from bravo in time, and began anew.
    assert number(duo.alpha) == session or stood_still() > before


def test_cable(duo: SessionDuo) -> None:
    """The box that lost its line cannot say so to the provider; the other one does."""
    session, link = number(duo.alpha), duo.alpha.links[0]
    with capture(duo.internet, "line", "pppoed", "-e") as said, traffic(duo, "cable enp1s0 out"):
        link.cut()
        online(duo.bravo)
    ended_then_dialled(said, session)
    silent(duo.alpha)
    link.mend()


def test_a_line_that_is_dead_behind_its_modem(duo: SessionDuo) -> None:
    """The cable has its link, and nothing comes through: no session after a while, and the other box may try."""
    prefer_alpha(duo)
    online(duo.alpha)
    silent(duo.bravo)
    online_elsewhere = lambda: duo.bravo.address("ppp-wan")  # noqa: E731
    with traffic(duo, "line dead, cable in"):
        duo.alpha.nft(DEAD)
        wait_for(online_elsewhere, 20 + TIMERS.uplink_misses_session + PATIENCE, "bravo has the session", 0.5)
    silent(duo.alpha)
    assert "wan had no PPPoE session when it was master" in pair(duo.alpha)["not_ready"]
    duo.alpha.nft("delete table netdev fault")
    assert "its own line was dead is forgotten" in duo.alpha.run("appliance", "handover", check=False).stderr
    prefer_alpha(duo)
    online(duo.alpha)


def test_both_lose_power(duo: SessionDuo) -> None:
    """Nobody knows the session's number any more: the provider does not answer until he has forgotten it."""
    started = time.monotonic()
    for box in (duo.alpha, duo.bravo):
        box.power_cut()
    duo.boot()
    booted = time.monotonic() - started
    online(duo.alpha)
    print(f"both lose power: up after {booted:.1f} s, online after {time.monotonic() - started:.1f} s")
    duo.host.ping(WEB, timeout=PATIENCE)


def test_the_provider_has_seen_one_client(duo: SessionDuo, strange: list[Capture]) -> None:
    """In all that went before: not a frame of another hardware address, from boot on."""
    assert strange[0].lines == []
