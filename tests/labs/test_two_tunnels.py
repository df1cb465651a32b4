"""Two tunnels on one box, each with its own port, engine and people; who reaches whom is what the file says.

                        internet 203.0.113.0/24
      ┌────────────┬───────────┴┬────────────┬────────────┐
      │ .11        │ .12        │ .2         │ .13        │ .14
   ┌──┴──┐      ┌──┴──┐     ┌───┴────┐    ┌──┴──┐      ┌──┴──┐
   │alice│      │ bob │     │ zurich │    │carol│      │dave │
   └─────┘      └─────┘     └───┬────┘    └─────┘      └─────┘
   ═══════ office ══════════════╪═════ contractors ══════════
   10.20.0.10   .11    51820    │      10.30.0.10     .11  51821
                            lan │ 192.168.10.1
                          ┌─────┴─────┐
                          │ host  .20 │
                          └───────────┘

alice may reach bob and carol; office reaches the host, contractors only its https.
"""

from __future__ import annotations

import pytest

from tests.lab import Box, Lab, Node, Probe, genkey, wait_for, wg_quick_peer
from tests.labs.office import in_order, status
from tests.labs.wiring import boot, configure, fetch, give_key, pings, serving, side_by_side

HOST = "192.168.10.20"
INSIDE = {"alice": "10.20.0.10", "bob": "10.20.0.11", "carol": "10.30.0.10", "dave": "10.30.0.11"}
OUTSIDE = {"alice": "203.0.113.11", "bob": "203.0.113.12", "carol": "203.0.113.13", "dave": "203.0.113.14"}
PORTS = {"office": 51820, "contractors": 51821}

HEAD = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    engine: userspace
    peers:
      alice: {public_key: ALICE, address: 10.20.0.10}
      bob: {public_key: BOB, address: 10.20.0.11}
"""
CONTRACTORS = """\
  contractors:
    listen_port: 51821
    addresses: [10.30.0.1/24]
    engine: auto
    peers:
      carol: {public_key: CAROL, address: 10.30.0.10}
      dave: {public_key: DAVE, address: 10.30.0.11}
"""
FIREWALL = """\
firewall:
  allow:
    - {from: office, to: lan}
    - {from: office.alice, to: office.bob}
"""
FIREWALL_CONTRACTORS = """\
    - {from: office.alice, to: contractors.carol}
    - {from: contractors, to: lan, services: [https]}
"""


class Drawing:
    def __init__(self, lab: Lab) -> None:
        wan, lan = lab.switch("wan"), lab.switch("lan")
        self.zurich: Box = lab.box("zurich")
        self.zurich.attach(wan, "enp1s0")
        self.zurich.attach(lan, "enp2s0")
        self.host: Node = lab.node("host")
        self.host.attach(lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")
        self.people: dict[str, Node] = {}
        for name, address in OUTSIDE.items():
            self.people[name] = lab.node(name)
            self.people[name].attach(wan, "eth0", [f"{address}/24"])
        self.keys = {name: genkey() for name in (*PORTS, *INSIDE)}
        boot(self.zurich)
        for tunnel in PORTS:
            give_key(self.zurich, tunnel, self.keys[tunnel])
        self.apply(HEAD + CONTRACTORS + FIREWALL + FIREWALL_CONTRACTORS)
        for name, node in self.people.items():
            tunnel = "office" if INSIDE[name].startswith("10.20.") else "contractors"
            wg_quick_peer(
                node,
                f"[Interface]\nPrivateKey = {self.keys[name].private}\nAddress = {INSIDE[name]}/32\n"
                f"[Peer]\nPublicKey = {self.keys[tunnel].public}\nEndpoint = 203.0.113.2:{PORTS[tunnel]}\n"
                "AllowedIPs = 10.20.0.0/24, 10.30.0.0/24, 192.168.10.0/24\nPersistentKeepalive = 5\n",
            )
        for name, node in self.people.items():
            gateway = INSIDE[name].rsplit(".", 1)[0] + ".1"
            node.ping(gateway, timeout=15)

    def apply(self, text: str) -> None:
        for name in INSIDE:
            text = text.replace(f": {name.upper()},", f": {self.keys[name].public},")
        configure(self.zurich, text)


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab) -> Drawing:
    return Drawing(shared_lab)


def test_each_tunnel_has_its_port_and_engine(drawing: Drawing) -> None:
    tunnels = {tunnel["name"]: tunnel for tunnel in status(drawing.zurich)["tunnels"]}
    assert {name: tunnel["listen_port"] for name, tunnel in tunnels.items()} == PORTS
    assert tunnels["office"]["engine_wanted"] == "userspace" == tunnels["office"]["engine"]
    assert tunnels["contractors"]["engine_wanted"] == "auto"
    assert len({tunnel["public_key"] for tunnel in tunnels.values()}) == 2
    assert all(peer["state"] == "up" for tunnel in tunnels.values() for peer in tunnel["peers"])
    print("engines: " + ", ".join(f"{name} {tunnel['engine']}" for name, tunnel in tunnels.items()))


def test_who_reaches_whom(drawing: Drawing) -> None:
    """Every person pings every other and the host; exactly what the file allows is answered."""
    targets = {**INSIDE, "host": HOST}
    asked = [(source, target) for source in INSIDE for target in targets if source != target]
    answers = side_by_side(lambda pair: pings(drawing.people[pair[0]], targets[pair[1]]), asked)
    reached = {pair for pair, answer in zip(asked, answers, strict=True) if answer}
    assert reached == {("alice", "bob"), ("alice", "carol"), ("alice", "host"), ("bob", "host")}
    print(
        f"{len(reached)} of {len(asked)} pairs are answered: " + ", ".join("→".join(pair) for pair in sorted(reached))
    )


def test_contractors_reach_one_service_only(drawing: Drawing) -> None:
    with serving(drawing.host, 443), serving(drawing.host, 22):
        assert fetch(drawing.people["alice"], HOST, 22) == "here"
        assert fetch(drawing.people["carol"], HOST, 443) == "here"
        assert fetch(drawing.people["carol"], HOST, 22) == ""


def test_one_tunnel_comes_and_goes_beside_the_other(drawing: Drawing) -> None:
    """The contractors' engine is killed, their tunnel is removed and comes back: the office loses not one packet."""
    zurich = drawing.zurich
    with Probe(drawing.people["alice"], drawing.host, HOST, 0.005) as probe:
        probe.flowing(packets=50)
        pid = zurich.sh("systemctl show --property=MainPID --value appliance-engine@wg-contractors")
        zurich.run("kill", "-9", pid)
        in_order(zurich, 10)
        probe.flowing(packets=50)
        drawing.apply(HEAD + FIREWALL)
        assert "wg-contractors" not in zurich.sh("ip -o link")
        assert "51821" not in zurich.sh("ss -Hlun")
        wait_for(lambda: not pings(drawing.people["carol"], "10.30.0.1"), 5, "carol is cut off")
        probe.flowing(packets=50)
        drawing.apply(HEAD + CONTRACTORS + FIREWALL + FIREWALL_CONTRACTORS)
        probe.flowing(packets=50)
    assert probe.report.lost == (), str(probe.report)
    drawing.people["carol"].ping("10.30.0.1", timeout=30)
    print(f"office meanwhile: {probe.report}")
