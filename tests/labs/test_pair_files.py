"""The files of a pair, judged by the programs that read them: keepalived and conntrackd.

    golden folder ──► keepalived -t ──► a box on its own network becomes master: its addresses, its routes
                 └──► two boxes on one network hand over by what is written into vrrp-ready, and reload,
                      with the firewall between them

     alpha ── lan ── bravo
       └───── wan ─────┘

Needs root; everything happens in namespaces that the kernel forgets.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.core.firewall import render
from appliance.core.model import Config
from appliance.core.networkd import network_file
from appliance.core.pair.addresses import pair_addresses
from appliance.core.pair.instances import hearing_devices, role_line
from appliance.core.pair.keepalived import keepalived_conf
from appliance.core.pair.names import NEVER, NOT_READY, READY, VIRTUAL_TABLE
from appliance.core.pair.routing import PRIORITY_MASTER, pair_rules, voice_rules
from appliance.core.state import TUNNEL_MARK, TUNNEL_MARK_MASK
from tests.lab import Lab, Node, Switch, wait_for
from tests.unit.pair.cases import CASES, loaded, rendered, rule_words

PAIRS = [case for case in CASES if rendered(case)]
BOTH = [pytest.param(case, box, id=f"{case.name}-{box}") for case in PAIRS for box in loaded(case).boxes]
EXAMPLE = next(case for case in PAIRS if case.name == "the-example-as-users-read-it")
ONE_PUBLIC = next(case for case in PAIRS if case.name == "one-public-address-only")
NO_ADDRESS_ON_THE_LINK = [case for case in PAIRS if "no_virtual_ipaddress" in rendered(case)["alpha/keepalived.conf"]]
FOLDER = "/run/appliance"

# Real-time scheduling comes from outside, as the unit gives it (docs/keepalived.md).
START = """
mount -t tmpfs -o mode=755 pair /run && mkdir /run/appliance && mkfifo /run/appliance/vrrp.fifo
# Opened for both directions, a FIFO never says that its writers are gone.
cat <>/run/appliance/vrrp.fifo >/run/said 2>&1 &
"""
RUN = "chrt --rr 50 keepalived --dont-fork --log-console --vrrp -f /run/appliance/keepalived.conf >/run/log 2>&1 &"


class PairBox(Node):
    """A box with the files of a golden case, and a keepalived that speaks into a FIFO."""

    def prepare(self, config: Config, box: str, switches: dict[str, Switch]) -> None:
        self.sh(START)
        self.line = role_line(config, box)
        for name, interface in config.boxes[box].interfaces.items():
            static = [str(address) for address in interface.address if not isinstance(address, str)]
            self.attach(switches[name], interface.device, static)
        self.put(f"{FOLDER}/keepalived.conf", keepalived_conf(config, box))
        for rule in pair_rules(config, box):
            self.sh(f"ip -{rule.family} rule add {rule_words(rule)}")

    def start(self, ready: int = READY) -> None:
        self.ready(ready)
        self.sh(RUN)

    def ready(self, number: int) -> None:
        self.sh(f"echo {number} >{FOLDER}/vrrp-ready.new; mv {FOLDER}/vrrp-ready.new {FOLDER}/vrrp-ready")

    def signal(self, name: str) -> None:
        self.sh(f"kill -{name} $(cat /run/keepalived.pid)")

    @property
    def said(self) -> list[str]:
        return self.read("/run/said").decode().splitlines()

    @property
    def role(self) -> str:
        """Master when role_line says so, something else as soon as any line does."""
        role = ""
        for line in self.said:
            kind, name, state, _ = line.split()
            if state in ("BACKUP", "FAULT", "STOP") or (state == "MASTER" and (kind, name.strip('"')) == self.line):
                role = state
        return role

    @property
    def addresses(self) -> set[str]:
        links = json.loads(self.run("ip", "-j", "address", "show").stdout)
        found = [(one["local"], one["prefixlen"]) for link in links for one in link["addr_info"]]
        return {f"{address}/{length}" for address, length in found}

    def dump(self) -> None:
        super().dump()
        self.sh("cat /run/said /run/log", check=False)

    def becomes(self, role: str, seconds: float = 3) -> None:
        wait_for(lambda: self.role == role, seconds, f"{self.name} becomes {role}")


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(re.sub(r"\W+", "-", request.node.name)) as made:
        yield made


def box_of(lab: Lab, config: Config, box: str, switches: dict[str, Switch]) -> PairBox:
    made = PairBox(box, lab.log)
    lab.members[box] = made
    made.prepare(config, box, switches)
    return made


def switches_of(lab: Lab, config: Config) -> dict[str, Switch]:
    first = next(iter(config.boxes.values()))
    return {name: lab.switch(name) for name in first.interfaces}


def virtual(config: Config) -> set[str]:
    assert config.failover
    return {str(one) for addresses in config.failover.virtual_addresses.values() for one in addresses}


def voice(box: PairBox, family: int) -> str:
    """The rule that leads a master past its silence, "" on another box."""
    return " ".join(box.run("ip", f"-{family}", "rule", "show", "priority", str(PRIORITY_MASTER)).stdout.split())


@pytest.mark.parametrize(("case", "box"), BOTH)
def test_keepalived_takes_the_file_and_carries_it_out(lab: Lab, case: Path, box: str) -> None:
    config = loaded(case)
    alone = box_of(lab, config, box, switches_of(lab, config))
    judged = alone.run("keepalived", "-t", "-f", f"{FOLDER}/keepalived.conf")
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")
    assert alone.said == [], "a test of the file says nothing to the supervisor"
    alone.start(NOT_READY)
    alone.becomes("MASTER")
    wait_for(lambda: virtual(config) <= alone.addresses, 2, "all virtual addresses are there")
    wanted = re.findall(rf"src (\S+) table {VIRTUAL_TABLE}", keepalived_conf(config, box))
    for family in (4, 6):
        of_family = [source for source in wanted if (":" in source) == (family == 6)]
        # A table that never had a route does not exist.
        table = alone.run("ip", "-j", f"-{family}", "route", "show", "table", str(VIRTUAL_TABLE), check=bool(of_family))
        assert sorted(route["prefsrc"] for route in json.loads(table.stdout)) == sorted(of_family)
    assert [voice(alone, rule.family) for rule in voice_rules(config, box)] == [
        f"{rule.priority}: from all fwmark {TUNNEL_MARK:#x}/{TUNNEL_MARK_MASK:#x} goto {rule.goto}"
        for rule in voice_rules(config, box)
    ]
    alone.signal("TERM")
    alone.becomes("STOP")
    assert [voice(alone, family) for family in (4, 6)] == ["", ""], "what lets a master speak goes with the role"
    wait_for(lambda: not virtual(config) & alone.addresses, 1, "the virtual addresses are gone")
    # What it removes at first, to begin from a known state, is not there.
    said = re.sub(r"Netlink: error: No such process.*", "", alone.read("/run/log").decode())
    assert "error" not in said.lower(), said


@pytest.mark.parametrize(("case", "box"), BOTH)
def test_conntrackd_takes_the_file(lab: Lab, case: Path, box: str) -> None:
    config = loaded(case)
    own, _ = pair_addresses(config, box)
    node, switch = lab.node(box), lab.switch("pair")
    node.attach(switch, "wg-pair", [f"{own}/64"])
    node.sh("mount -t tmpfs -o mode=755 pair /run && mkdir /run/appliance")
    node.put(f"{FOLDER}/conntrackd.conf", rendered(case)[f"{box}/conntrackd.conf"])
    node.sh(f"conntrackd -C {FOLDER}/conntrackd.conf >/run/log 2>&1 & echo $! >/run/pid")
    wait_for(
        lambda: node.run("conntrackd", "-C", f"{FOLDER}/conntrackd.conf", "-s", check=False).returncode == 0,
        5,
        "conntrackd answers",
    )
    sockets = node.run("ss", "-Hlnup").stdout
    assert f"[{own}]:3780" in sockets or f"[{own}]%wg-pair:3780" in sockets, sockets
    node.sh("kill $(cat /run/pid)")
    said = node.read("/run/log").decode()
    assert not re.search(r"warn|error|fail|deprecat|unknown", said, re.IGNORECASE), said


def test_conntrackd_exchanges_what_passes_and_not_what_ends_here(lab: Lab) -> None:
    config = loaded(EXAMPLE)
    own, _ = pair_addresses(config, "alpha")
    node = lab.node("alpha")
    node.attach(lab.switch("pair"), "wg-pair", [f"{own}/64"])
    node.sh("mount -t tmpfs -o mode=755 pair /run && mkdir /run/appliance")
    file = f"{FOLDER}/conntrackd.conf"
    node.put(file, rendered(EXAMPLE)["alpha/conntrackd.conf"])
    # Until a rule asks for it, the kernel tracks nothing in this network.
    node.nft("table inet watch {\nchain in {\ntype filter hook input priority 0;\nct state new counter\n}\n}")
    node.sh(f"conntrackd -C {file} >/run/log 2>&1 &")
    wait_for(lambda: node.run("conntrackd", "-C", file, "-s", check=False).returncode == 0, 5, "conntrackd answers")

    def tracked(asks: str, asked: str, answers: str, answered: str, port: int) -> None:
        node.sh(
            f"conntrack -I -p tcp -t 300 --state ESTABLISHED -u ASSURED,SEEN_REPLY -s {asks} -d {asked} "
            f"-r {answers} -q {answered} --sport {port} --dport 443 --reply-port-src 443 --reply-port-dst {port}"
        )

    tracked("192.168.10.20", "198.51.100.7", "198.51.100.7", "203.0.113.10", 4001)  # hides behind the virtual address
    tracked("198.51.100.8", "203.0.113.10", "192.168.10.20", "198.51.100.8", 4002)  # a port forward
    tracked("10.20.0.10", "192.168.10.20", "192.168.10.20", "10.20.0.10", 4003)  # from a tunnel
    tracked("198.51.100.8", "203.0.113.10", "203.0.113.10", "198.51.100.8", 4004)  # to the box, where it moves
    tracked("192.168.10.20", "192.168.10.2", "192.168.10.2", "192.168.10.20", 4005)  # to the box, where it stays
    tracked("10.20.0.10", "10.20.0.1", "10.20.0.1", "10.20.0.10", 4006)  # to the box, in a tunnel
    wait_for(lambda: "4003" in node.run("conntrackd", "-C", file, "-i").stdout, 5, "conntrackd knows the last one")
    known = node.run("conntrackd", "-C", file, "-i").stdout
    assert sorted(set(re.findall(r"sport=(400\d)", known))) == ["4001", "4002", "4003"]


def test_a_missing_network_card_passes_the_test_of_the_file(lab: Lab) -> None:
    """`dynamic_interfaces`: it is the plan that says which device is not there."""
    config = loaded(EXAMPLE)
    node = lab.node("alpha")
    node.sh("mount -t tmpfs -o mode=755 pair /run && mkdir /run/appliance")
    node.put("/run/alpha.conf", keepalived_conf(config, "alpha"))
    assert node.run("keepalived", "-t", "-f", "/run/alpha.conf").returncode == 0
    node.put("/run/alpha.conf", keepalived_conf(config, "alpha").replace("priority", "priorita"))
    refused = node.run("keepalived", "-t", "-f", "/run/alpha.conf", check=False)
    assert refused.returncode != 0
    assert "Unknown keyword 'priorita'" in refused.stderr + refused.stdout


Pair = tuple[PairBox, PairBox, dict[str, Switch]]


def pair_of(lab: Lab, case: Path) -> Pair:
    config = loaded(case)
    switches = switches_of(lab, config)
    alpha, bravo = (box_of(lab, config, box, switches) for box in config.boxes)
    for each in (alpha, bravo):
        each.start()
    alpha.becomes("MASTER")
    bravo.becomes("BACKUP")
    return alpha, bravo, switches


def changes(said: Callable[[], list[str]], before: int) -> list[str]:
    return [line for line in said()[before:] if "_PRIORITY" not in line and "RX_LOWER" not in line]


@pytest.mark.parametrize("case", [EXAMPLE, ONE_PUBLIC], ids=lambda case: case.name)
def test_the_role_follows_readiness(lab: Lab, case: Path) -> None:
    alpha, bravo, _ = pair_of(lab, case)
    wanted = virtual(loaded(case))
    alpha.ready(NOT_READY)
    bravo.becomes("MASTER")
    alpha.becomes("BACKUP")
    wait_for(lambda: wanted <= bravo.addresses, 1, "bravo has the virtual addresses")
    wait_for(lambda: not wanted & alpha.addresses, 1, "alpha has none")
    assert (alpha.role, bravo.role) == ("BACKUP", "MASTER")
    for link in bravo.links:
        link.cut()
    alpha.becomes("MASTER")


@pytest.mark.parametrize("case", NO_ADDRESS_ON_THE_LINK, ids=lambda case: case.name)
def test_an_instance_without_addresses_is_heard(lab: Lab, case: Path) -> None:
    alpha, bravo, _ = pair_of(lab, case)
    time.sleep(1)
    assert (alpha.role, bravo.role) == ("MASTER", "BACKUP")
    alpha.signal("TERM")
    bravo.becomes("MASTER")
    wait_for(lambda: virtual(loaded(case)) <= bravo.addresses, 1, "bravo has the virtual addresses")


@pytest.mark.parametrize("case", [EXAMPLE, ONE_PUBLIC], ids=lambda case: case.name)
def test_never_hands_over_at_once(lab: Lab, case: Path) -> None:
    alpha, bravo, _ = pair_of(lab, case)
    began = time.monotonic()
    alpha.ready(NEVER)
    bravo.becomes("MASTER")
    lab.log.line(f"NEVER: {time.monotonic() - began:.3f} s until bravo said MASTER")
    alpha.becomes("FAULT")
    alpha.ready(READY)
    alpha.becomes("MASTER")


@pytest.mark.parametrize("case", [EXAMPLE, ONE_PUBLIC], ids=lambda case: case.name)
def test_a_reload_of_the_master_is_no_takeover(lab: Lab, case: Path) -> None:
    alpha, bravo, _ = pair_of(lab, case)
    time.sleep(0.3)
    before = len(bravo.said), len(alpha.said)
    text = alpha.read(f"{FOLDER}/keepalived.conf").decode()
    alpha.put(
        f"{FOLDER}/keepalived.conf",
        text.replace("192.168.10.1/24 dev", "192.168.10.99/24 dev enp2s0\n192.168.10.1/24 dev"),
    )
    for each in (alpha, bravo):
        each.signal("HUP")
    wait_for(lambda: "192.168.10.99/24" in alpha.addresses, 3, "the reload is carried out")
    time.sleep(2)
    assert "MASTER" not in " ".join(changes(lambda: bravo.said, before[0]))
    assert not re.search("BACKUP|FAULT|STOP", " ".join(changes(lambda: alpha.said, before[1])))
    alpha.put(f"{FOLDER}/keepalived.conf", text.replace("priority", "priorita"))
    alpha.signal("HUP")
    time.sleep(1)
    assert (alpha.role, bravo.role) == ("MASTER", "BACKUP"), "a file with an error is refused, and nothing happens"


@pytest.mark.parametrize("case", [EXAMPLE, ONE_PUBLIC], ids=lambda case: case.name)
def test_a_dead_uplink_gives_way_to_a_living_one_and_two_dead_ones_to_nobody(lab: Lab, case: Path) -> None:
    alpha, bravo, _ = pair_of(lab, case)
    uplink = {box.name: next(link for link in box.links if link.ifname == "enp1s0") for box in (alpha, bravo)}
    uplink["alpha"].cut()
    bravo.becomes("MASTER")
    alpha.becomes("BACKUP")
    uplink["bravo"].cut()
    alpha.becomes("MASTER")
    bravo.becomes("BACKUP")
    assert "192.168.10.1/24" in alpha.addresses, "the office keeps its router while the modem is off"
    for link in uplink.values():
        link.mend()
    time.sleep(0.6)
    assert (alpha.role, bravo.role) == ("MASTER", "BACKUP")


def test_with_one_network_between_them_a_deaf_box_holds_no_address(lab: Lab) -> None:
    """Otherwise both would hold the one public address."""
    alpha, bravo, _ = pair_of(lab, ONE_PUBLIC)
    assert hearing_devices(loaded(ONE_PUBLIC), "alpha") == ("enp2s0",)
    lan = next(link for link in alpha.links if link.ifname == "enp2s0")
    lan.cut()
    alpha.becomes("FAULT")
    bravo.becomes("MASTER")
    wait_for(lambda: not virtual(loaded(ONE_PUBLIC)) & alpha.addresses, 1, "alpha holds none")
    lan.mend()
    alpha.becomes("MASTER")
    bravo.becomes("BACKUP")


@pytest.mark.parametrize("name", ["IPv6-beside-IPv4", "a-cable-between-the-boxes-and-one-public-address"])
def test_the_firewall_lets_the_partner_through_and_nobody_else(lab: Lab, name: str) -> None:
    case = next(case for case in PAIRS if case.name == name)
    config = loaded(case)
    switches = switches_of(lab, config)
    boxes = {box: box_of(lab, config, box, switches) for box in config.boxes}
    for box, each in boxes.items():
        each.nft(render(config, box, lambda path: 0))
        each.start()
    first = next(box for box in boxes if "priority 154" in keepalived_conf(config, box))
    other = next(box for box in boxes if box != first)
    boxes[first].becomes("MASTER")
    boxes[other].becomes("BACKUP")
    time.sleep(1)
    assert (boxes[first].role, boxes[other].role) == ("MASTER", "BACKUP")
    boxes[first].ready(NOT_READY)
    boxes[other].becomes("MASTER")
    boxes[first].becomes("BACKUP")
    stranger = lab.node("stranger")
    stranger.attach(switches["lan"], "eth0", ["192.168.10.9/24"])
    before = dropped(boxes[other])
    stranger.run("ping", "-c1", "-W1", "192.168.10.1", check=False)
    stranger.sh(
        "python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112); "
        's.setsockopt(0, 2, 255); s.sendto(bytes(20), ("192.168.10.1", 0))\''
    )
    wait_for(lambda: dropped(boxes[other]) > before, 2, "VRRP of a stranger is dropped")


def dropped(box: PairBox) -> int:
    listed = json.loads(box.run("nft", "-j", "list", "counter", "inet", "appliance", "dropped_input").stdout)
    return int(next(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry))


def test_networkd_leaves_the_virtual_addresses_alone(lab: Lab) -> None:
    """Without KeepConfiguration it takes them away at every start, reload and reconfiguration."""
    config = loaded(EXAMPLE)
    box = lab.box("alpha")
    box.attach(lab.switch("lan"), "enp2s0")
    box.boot()
    box.put("/run/systemd/network/50-appliance-lan.network", network_file(config, config.boxes["alpha"], "lan"))
    box.run("networkctl", "reload")
    wait_for(lambda: box.address("enp2s0") == "192.168.10.2", 10, "networkd sets the box's own address")
    box.sh("ip address add 192.168.10.1/24 dev enp2s0")
    for change in ("systemctl restart systemd-networkd", "networkctl reload", "networkctl reconfigure enp2s0"):
        box.sh(change)
        wait_for(lambda: "configured" in box.run("networkctl", "list", "enp2s0").stdout, 10, "networkd is done")
        assert "192.168.10.1/24" in box.run("ip", "address", "show", "enp2s0").stdout, change


def test_packets_of_the_tunnels_leave_from_the_virtual_address(lab: Lab) -> None:
    alpha, _, switches = pair_of(lab, EXAMPLE)
    router = lab.node("router")
    router.attach(switches["wan"], "eth0", ["203.0.113.1/24"])

    def source(destination: str, mark: str) -> str:
        words = alpha.run("ip", "route", "get", destination, *mark.split()).stdout.split()
        return words[words.index("src") + 1]

    alpha.sh("ip route add default via 203.0.113.1 dev enp1s0")
    assert source("198.51.100.7", "mark 0x5700") == "203.0.113.10"
    assert source("203.0.113.77", "mark 0x5701 ") == "203.0.113.2", "another mark is none of ours"
    assert source("203.0.113.77", "mark 0x5700") == "203.0.113.10", "a neighbour, too, hears from the virtual address"
    assert source("203.0.113.77", "mark 0x1005700") == "203.0.113.10", "whatever the mark of the uplink is"
    assert source("192.168.10.20", "mark 0x5700") == "192.168.10.1"
    assert source("198.51.100.7", "") == "203.0.113.2"
