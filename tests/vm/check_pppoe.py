"""Runs inside the emulated machine, on the product's own kernel: an office whose provider speaks PPPoE.

   internet    203.0.113.1, a name server, pppoe-server
       │       PPP inside Ethernet; no IP on the cable
   wan │ ppp-wan 100.64.0.10
┌──────┴────┐
│  zurich   │ ══ office ══ laptop (wg-quick, 198.51.100.7)
└──────┬────┘
   lan │ 192.168.10.1
┌──────┴────┐
│ host  .20 │
└───────────┘
"""

from __future__ import annotations

import re

import pytest

from tests.lab import Box, Lab, Node, capture, genkey, transfer, wait_for, wg_quick_peer
from tests.labs.office import in_order, peer_state, status
from tests.labs.pppoe_provider import PASSWORD, USER, Provider
from tests.labs.wiring import apply, configure, give_key

PATIENCE = 120
HOST = "192.168.10.20"

ZURICH = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp1s0, address: pppoe, pppoe: {user: USER, password: {secret: provider}}}
      lan: {device: enp2s0, address: 192.168.10.1/24}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      laptop: {public_key: LAPTOP, address: 10.20.0.10}
firewall:
  allow:
    - {from: lan, to: wan}
    - {from: office.laptop, to: lan}
  masquerade: [wan]
""".replace("USER", USER)


class Drawing:
    def __init__(self, lab: Lab) -> None:
        wan, lan, elsewhere = lab.switch("wan"), lab.switch("lan"), lab.switch("elsewhere")
        self.internet: Node = lab.node("internet")
        self.internet.attach(wan, "zurich", [])
        self.internet.attach(elsewhere, "laptop", ["198.51.100.1/24"])
        self.internet.sh("ip address add 203.0.113.1/32 dev lo")
        self.internet.forward()
        self.provider = Provider(self.internet, "zurich")
        self.zurich: Box = lab.box("zurich")
        self.zurich.attach(wan, "enp1s0")
        self.zurich.attach(lan, "enp2s0")
        self.host: Node = lab.node("host")
        self.host.attach(lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")
        self.laptop: Node = lab.node("laptop")
        self.laptop.attach(elsewhere, "eth0", ["198.51.100.7/24"], gateway="198.51.100.1")
        ours, self.theirs = genkey(), genkey()
        self.zurich.boot(PATIENCE)
        give_key(self.zurich, "office", ours)
        self.public = ours.public
        self.text = ZURICH.replace("LAPTOP", self.theirs.public)

    def password(self, text: str) -> None:
        self.zurich.put("/data/appliance/secrets/provider", text + "\n", 0o600)
        apply(self.zurich, timeout=PATIENCE)

    def session(self) -> dict[str, object]:
        return dict(status(self.zurich)["uplinks"][0]["session"])

    def online(self) -> str:
        """Returns the address that the provider gave."""
        wait_for(lambda: self.session()["up"], PATIENCE, "the session is up", 0.5)
        return self.zurich.address("ppp-wan")


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Drawing:
    return Drawing(shared_lab)


def test_a_wrong_password_is_said(drawing: Drawing) -> None:
    drawing.provider.start()
    assert "its password provider is not on this box" in configure(drawing.zurich, drawing.text)
    drawing.password("wrong")
    refused = "the provider refuses the user name or the password"

    # Between two calls there is nothing to refuse, and on a slow machine a call may end otherwise.
    def said() -> str:
        return " ".join(drawing.zurich.run("appliance", "status", check=False).stdout.split())

    wait_for(lambda: drawing.session()["trouble"] == refused, PATIENCE, "the provider has refused", 0.5)
    wait_for(lambda: refused in said(), PATIENCE, "status says so", 0.5)


def test_a_session_is_all_that_an_uplink_is(drawing: Drawing) -> None:
    zurich, host = drawing.zurich, drawing.host
    drawing.password(PASSWORD)
    address = drawing.online()
    assert address.startswith("100.64.0.1")
    assert re.search(r"default dev ppp-wan.* metric 100", zurich.sh("ip route"))
    assert zurich.sh("ip -o address show dev enp1s0") == ""
    wait_for(lambda: "192.0.2.53" in zurich.sh("resolvectl dns ppp-wan"), PATIENCE, "the provider's DNS is known")
    assert "192.0.2.99" in zurich.sh("resolvectl query somewhere.example.net")
    in_order(zurich, PATIENCE)
    assert zurich.sh("cat /sys/class/net/ppp-wan/mtu /sys/class/net/wg-office/mtu").split() == ["1492", "1432"]
    host.ping("203.0.113.1", timeout=PATIENCE)
    with capture(drawing.internet, "any", "tcp[tcpflags] == tcp-syn") as packets:
        assert transfer(host, drawing.internet, "203.0.113.1", 200_000, PATIENCE) > 0
    assert packets.matching("mss 1452")


def test_the_password_is_nowhere(drawing: Drawing) -> None:
    zurich = drawing.zurich
    assert zurich.sh("stat -c %a /run/appliance-pppoe /run/appliance-pppoe/ppp-wan.password").split() == ["700", "600"]
    everything = zurich.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '") + zurich.journal()
    assert "4 s" not in everything


def test_a_tunnel_by_way_of_the_session(drawing: Drawing) -> None:
    address = drawing.online()
    wg_quick_peer(
        drawing.laptop,
        f"[Interface]\nPrivateKey = {drawing.theirs.private}\nAddress = 10.20.0.10/32\n"
        f"[Peer]\nPublicKey = {drawing.public}\nAllowedIPs = 10.20.0.0/24, 192.168.10.0/24\n"
        f"Endpoint = {address}:51820\n",
    )
    drawing.laptop.ping(HOST, timeout=PATIENCE)
    assert peer_state(drawing.zurich, "office.laptop")["state"] == "up"


def test_a_provider_that_comes_back_is_dialled(drawing: Drawing) -> None:
    drawing.provider.stop()
    wait_for(lambda: not drawing.session()["up"], PATIENCE, "the session is gone", 0.5)
    wait_for(lambda: "no PPPoE server answers" in str(drawing.session()["trouble"]), PATIENCE, "it is said", 0.5)
    drawing.provider.start()
    drawing.online()
    drawing.host.ping("203.0.113.1", timeout=PATIENCE)
    in_order(drawing.zurich, PATIENCE)


def test_a_dead_session_is_ended_in_the_place_of_whoever_had_it(drawing: Drawing) -> None:
    """As the other box of a pair does it, knowing the number and the provider's address."""
    before = drawing.provider.sessions()
    drawing.zurich.run(
        *(
            "python3",
            "-Ic",
            "from appliance.adapters import pppoe as p; [one] = p.open_sessions(); "
            "p.terminate(one.device, one.provider, one.number)",
        ),
    )
    wait_for(lambda: drawing.provider.sessions() != before, PATIENCE, "the provider has forgotten it", 0.5)
    drawing.online()


def test_going_back(drawing: Drawing) -> None:
    """Another way of getting an address is tried; taken back, the session is dialled again."""
    other = re.sub(r"address: pppoe.*", "address: dhcp}", drawing.text)
    drawing.zurich.put("/data/appliance/appliance.yaml", other, 0o600)
    assert "hang up (PPPoE)" in drawing.zurich.run("appliance", "plan", check=False).stdout
    drawing.zurich.run("appliance", "apply", timeout=PATIENCE)
    assert "ppp-wan" not in drawing.zurich.sh("ip -o link")
    drawing.zurich.run("appliance", "rollback", timeout=PATIENCE)
    drawing.online()
    drawing.host.ping("203.0.113.1", timeout=PATIENCE)
    drawing.zurich.put("/data/appliance/appliance.yaml", drawing.text, 0o600)
    assert "nothing to do" in apply(drawing.zurich, timeout=PATIENCE)
