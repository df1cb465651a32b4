"""A provider that lends one address to one client, and two boxes that are that client in turn.

The drawing stands in tests/labs/pair.py; here no box has an address outside. The provider's DHCP server has one, and so
a second client would get none; its router announces an IPv6 network, in which a client makes itself an address.

     internet    DHCP (dnsmasq): 203.0.113.10, to one client; router advertisements (radvd): 2001:db8:203::/64
         │
     ────┴────┬─────────────────┐
       enp1s0 │ lease-wan  enp1s0 │ (lease-wan, down)
         ┌────┴────┐       ┌────┴────┐
         │  alpha  │       │  bravo  │
"""

from __future__ import annotations

import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.lab import Box, Capture, Lab, Node, capture, wait_for
from tests.labs.office import in_order, status
from tests.labs.pair import HOST, VIRTUAL, YAML, Duo, pair
from tests.labs.test_pair_takeover import hand_over, prefer_alpha, traffic

MAC = "6a:b5:d1:7c:15:e0"
IPV6 = "2001:db8:203:0:68b5:d1ff:fe7c:15e0"
DHCP = "udp port 67 or udp port 68"
ROUTER = "203.0.113.1"
RADVD = """\
interface zurich {
  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
  prefix 2001:db8:203::/64 { };
};
"""


BLINKS_WHEN_LENT = """
blink() { ip link set lease-wan down; ip link set lease-wan up; }
lent() { ip -4 -o address show dev lease-wan | grep -q .; }
blink
for _ in $(seq 500); do lent || break; done
for _ in $(seq 500); do ! lent || break; done
blink
"""
"""The device is down for a moment just when networkd has set the address, and is about to set the routes."""

LEASED = (
    re.sub(r"address: 203\.0\.113\.\d/24, gateway: 203\.0\.113\.1", "address: [dhcp, ra]", YAML).replace(
        "    wan: 203.0.113.10/24\n", ""
    )
    + f"  port_forwards: [{{{{from: wan, port: tcp/9000, to: {HOST}}}}}]\n"
)


class LeaseDuo(Duo):
    def build(self) -> LeaseDuo:
        super().build()
        self.lend(10)
        self.internet.sh("ip address add 2001:db8:203::1/64 dev zurich")
        self.internet.put("/run/radvd.conf", RADVD)
        self.internet.run("radvd", "--config=/run/radvd.conf", "--pidfile=/run/radvd.pid", "--logmethod=none")
        for node in (self.internet, self.host):
            node.popen("socat", "TCP-LISTEN:9000,fork,reuseaddr", "EXEC:cat", stdout=subprocess.DEVNULL)
        return self

    def lend(self, host: int) -> None:
        """The provider hands out this address and no other, and knows no earlier lease."""
        self.internet.sh("! test -e /run/dhcp.pid || kill $(cat /run/dhcp.pid); rm -f /run/dhcp.leases")
        wait_for(lambda: ":67 " not in self.internet.sh("ss -Hlun"), 5, "the DHCP server before is gone")
        self.internet.run(
            *("dnsmasq", "--port=0", "--no-hosts", "--pid-file=/run/dhcp.pid", "--interface=zurich"),
            *("--bind-dynamic", "--dhcp-leasefile=/run/dhcp.leases", "--dhcp-authoritative", "--no-ping"),
            f"--dhcp-range=203.0.113.{host},203.0.113.{host},255.255.255.0,10m",
        )

    @contextmanager
    def silent_provider(self) -> Iterator[None]:
        """It hears nobody until the end of the block."""
        self.internet.sh("kill -STOP $(cat /run/dhcp.pid)")
        try:
            yield
        finally:
            self.internet.sh("kill -CONT $(cat /run/dhcp.pid)")


class Session:
    """A TCP connection to an echo server, kept open while something happens."""

    def __init__(self, source: Node, address: str) -> None:
        self.process = source.popen("socat", "-", f"TCP:{address}:9000", stdin=subprocess.PIPE)
        self.says("hello")

    def says(self, text: str) -> None:
        """What is sent comes back, on the same connection."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], 10)[0], f"{text}: nothing came back"
        assert self.process.stdout.readline() == f"{text}\n"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def kept(duo: LeaseDuo, event: str) -> Iterator[None]:
    """Datagrams counted and connections kept, through tunnel, NAT and a forwarded port, while something happens."""
    with ExitStack() as stack:
        sessions = [Session(duo.host, ROUTER), Session(duo.branch, VIRTUAL), Session(duo.laptop, HOST)]
        for session in sessions:
            stack.callback(session.close)
        with traffic(duo, event):
            yield
        for session in sessions:
            session.says("still here")


def lent(box: Box) -> str:
    return box.address("lease-wan")


def confirmed_by_the_provider(box: Box) -> bool:
    return "proto" not in box.sh("ip -4 -o address show dev lease-wan") and lent(box) != ""


def has_a_way_on(box: Box) -> bool:
    tables = (box.sh(f"ip route show table {table}") for table in ("main", "50"))
    return all(f"default via {ROUTER} dev lease-wan" in table for table in tables)


def seconds_left(box: Box) -> int:
    return int(re.findall(r"valid_lft (\d+)sec", box.sh("ip -4 address show lease-wan"))[0])


def as_before(duo: LeaseDuo) -> None:
    """Both run, and alpha has the role."""
    for box in (duo.alpha, duo.bravo):
        if not box.running:
            box.boot()
    prefer_alpha(duo)


@pytest.fixture(scope="module")
def asked() -> list[Capture]:
    return []


@pytest.fixture(scope="module")
def duo(asked: list[Capture]) -> Iterator[LeaseDuo]:
    with Lab("pair-lease", __doc__ or "") as lab:
        duo = LeaseDuo(lab, yaml=LEASED).build()
        with capture(duo.internet, "zurich", DHCP, "-vv") as said:
            asked.append(said)
            duo.boot()
            yield duo


def test_the_master_has_the_lease_and_the_other_box_sees_its_cable(duo: LeaseDuo) -> None:
    as_before(duo)
    wait_for(lambda: lent(duo.alpha) == VIRTUAL and duo.alpha.address("lease-wan", 6) == IPV6, 20, "alpha has both")
    wait_for(lambda: has_a_way_on(duo.alpha), 10, "there is a way on")
    duo.host.ping(ROUTER)
    for box in (duo.alpha, duo.bravo):
        in_order(box)
        assert MAC in box.sh("ip link show lease-wan")
    wan = status(duo.bravo)["interfaces"][0]
    assert (wan["carrier"], wan["addresses"], wan["lease"]["here"]) == (True, [], False)
    assert "the lease is the master's" in duo.bravo.run("appliance", "status").stdout


def test_planned_handover_and_return(duo: LeaseDuo) -> None:
    as_before(duo)
    with kept(duo, "planned handover"):
        hand_over(duo.alpha, "bravo")
        duo.settled(duo.bravo)
    assert (lent(duo.alpha), lent(duo.bravo)) == ("", VIRTUAL)
    with kept(duo, "planned handover back"):
        hand_over(duo.bravo, "alpha")
        duo.settled(duo.alpha, 60)


def test_the_role_is_away_for_a_moment(duo: LeaseDuo) -> None:
    """The device was down so briefly that networkd could overlook it: its way on is there all the same, and lasts."""
    as_before(duo)
    hand_over(duo.alpha, "bravo")
    hand_over(duo.bravo, "alpha")
    confirmed = lambda: confirmed_by_the_provider(duo.alpha) and has_a_way_on(duo.alpha)  # noqa: E731
    wait_for(confirmed, 10, "the provider confirms the address, and there is a way on")


def test_power_cut_and_return(duo: LeaseDuo) -> None:
    as_before(duo)
    with kept(duo, "power cut of the master"):
        duo.alpha.power_cut()
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")
    assert (lent(duo.bravo), duo.bravo.address("lease-wan", 6)) == (VIRTUAL, IPV6)
    with kept(duo, "preferred box boots and returns"):
        duo.alpha.boot()
        duo.settled(duo.alpha, 60)


def test_nobody_waits_for_the_provider(duo: LeaseDuo) -> None:
    """The address is used before it is confirmed, and no longer than it was lent for."""
    as_before(duo)
    # However long the labs before took: it was lent for 600 s just now.
    duo.alpha.sh("networkctl renew lease-wan")
    wait_for(lambda: seconds_left(duo.alpha) > 590, 20, "the provider lends it anew")
    with duo.silent_provider():
        with kept(duo, "power cut of the master, and the provider is silent"):
            duo.alpha.power_cut()
            wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")
        assert not confirmed_by_the_provider(duo.bravo)
        assert 500 < seconds_left(duo.bravo) < 600
        in_order(duo.bravo)
    wait_for(lambda: confirmed_by_the_provider(duo.bravo), 40, "the provider confirms the address")


def test_the_uplinks_cable(duo: LeaseDuo) -> None:
    as_before(duo)
    link = duo.alpha.links[0]
    with kept(duo, "cable enp1s0 out"):
        link.cut()
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")
    link.mend()


def test_the_gateway_is_silent(duo: LeaseDuo) -> None:
    """The cable is in, the lease is good, and nobody answers: the other box tries, and keeps what it got."""
    as_before(duo)
    silent = "the gateway of wan did not answer when it was master"
    with forgotten(duo), kept(duo, "gateway silent"), deaf(duo, duo.alpha):
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 20, "bravo is master")
        assert lent(duo.bravo) == VIRTUAL
        wait_for(lambda: silent in pair(duo.alpha)["not_ready"], 5, "alpha does not want it back")
        # A gateway that never answered here is not missed.
        wait_for(lambda: "wan" in pair(duo.bravo)["living_uplinks"], 10, "it answers bravo")
        with deaf(duo, duo.bravo):
            says = lambda: "the gateway of wan does not answer" in pair(duo.bravo)["notes"]  # noqa: E731
            wait_for(says, 20, "bravo's is silent, too")
            since = pair(duo.bravo)["since"]
        wait_for(lambda: not says(), 20, "it answers again")
        assert duo.master() is duo.bravo and pair(duo.bravo)["since"] == since
    prefer_alpha(duo)


def test_a_dead_line_that_is_tried_again_goes_back_to_the_living_one(duo: LeaseDuo) -> None:
    """A box that wants the role, and has forgotten that its line was dead: the other one's lived until then."""
    as_before(duo)
    with forgotten(duo), deaf(duo, duo.alpha):
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 20, "bravo is master")
        wait_for(lambda: "wan" in pair(duo.bravo)["living_uplinks"], 10, "it answers bravo")
        duo.alpha.sh("systemctl restart appliance")
        wait_for(lambda: pair(duo.alpha).get("role") == "master", 30, "alpha tries")
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 30, "alpha gives it back")
    prefer_alpha(duo)


def test_a_master_that_is_told_to_go_down(duo: LeaseDuo) -> None:
    """While it shuts down, too, the hardware address that both have is up on one box only."""
    as_before(duo)
    both: list[bool] = []

    def is_off() -> bool:
        shown = [box.run("ip", "-o", "link", "show", "up", check=False).stdout for box in (duo.alpha, duo.bravo)]
        both.append(all("lease-wan" in each for each in shown))
        return not duo.alpha.running

    with kept(duo, "reboot of the master"):
        duo.alpha.run("systemctl", "--no-block", "poweroff")
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")
        wait_for(is_off, 30, "alpha is off")
    assert len(both) > 3 and not any(both), both
    duo.alpha.power_cut()
    duo.alpha.boot()
    prefer_alpha(duo)


@contextmanager
def forgotten(duo: LeaseDuo) -> Iterator[None]:
    """Afterwards alpha wants the role again, also where the test failed: a supervisor that starts knows of no hour."""
    try:
        yield
    finally:
        duo.alpha.sh("systemctl restart appliance")


@contextmanager
def deaf(duo: LeaseDuo, box: Box) -> Iterator[None]:
    """Whatever the box sends to the provider is lost on the way; its cable is in."""
    port = box.links[0].port
    rule = (
        f"table netdev deaf_{box.name} {{ chain in {{ type filter hook ingress device {port} priority 0; drop\n}}\n}}"
    )
    duo.wan.run("nft", "-f", "-", stdin=rule)
    try:
        yield
    finally:
        duo.wan.run("nft", "delete", "table", "netdev", f"deaf_{box.name}")


def test_a_supervisor_that_stays_away(duo: LeaseDuo) -> None:
    """The line goes with the role: two boxes with its hardware address would take each other's packets."""
    as_before(duo)
    with kept(duo, "supervisor away"):
        duo.alpha.sh("systemctl stop appliance")
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 20, "bravo is master")
        wait_for(lambda: ",UP" not in duo.alpha.sh("ip -o link show lease-wan"), 5, "alpha has let the line go")
    duo.alpha.sh("systemctl start appliance")


def test_one_voice(duo: LeaseDuo) -> None:
    """A standby sends nothing at all to the provider, its card has no word of its own, and no one answers twice."""
    as_before(duo)
    cards = " or ".join(f"ether src {box.sh('cat /sys/class/net/enp1s0/address')}" for box in (duo.alpha, duo.bravo))
    with capture(duo.internet, "zurich", cards) as cards_said:
        with capture(duo.bravo, "enp1s0", "", "-Q", "out", "-e") as standby:
            with traffic(duo, "nothing happens"):
                duo.bravo.sh("systemctl restart appliance")
                wait_for(lambda: pair(duo.bravo).get("role") == "backup", 20, "bravo's supervisor is back")
        told = [line for line in standby.lines if "51820" in line or "BOOTP" in line or "ARP" in line]
        assert told == []
        duo.bravo.sh("ip link set lease-wan up")
        wait_for(lambda: ",UP" not in duo.bravo.sh("ip -o link show lease-wan"), 5, "what a hand did is undone")
        with capture(duo.alpha, "enp1s0", "", "-Q", "out", "-e") as before:
            hand_over(duo.alpha, "bravo")
            duo.settled(duo.bravo)
            wait_for(lambda: lent(duo.alpha) == "", 5, "alpha is silent")
            silent_since = len(before.lines)
            with traffic(duo, "nothing happens"):
                pass
        assert before.lines[silent_since:] == []
        assert "Release" not in "\n".join(before.lines)
    assert cards_said.lines == []


@pytest.mark.parametrize(
    "harm",
    [
        "ip link set lease-wan down",
        "ip link set lease-wan down; ip link set lease-wan up",
        "ip link delete lease-wan",
        "nft delete table inet appliance",
    ],
)
def test_what_was_changed_by_hand_is_put_back(duo: LeaseDuo, harm: str) -> None:
    as_before(duo)
    duo.alpha.sh(harm)
    held = f'"lease-wan" : {VIRTUAL}'
    wait_for(
        lambda: held in duo.alpha.sh("nft list map inet appliance leased_ipv4", check=False), 10, "the map is filled"
    )
    wait_for(lambda: has_a_way_on(duo.alpha), 10, "there is a way on")
    duo.host.ping(ROUTER, timeout=10)
    wait_for(lambda: confirmed_by_the_provider(duo.alpha), 10, "the provider confirms the address")
    in_order(duo.alpha)


def test_networkd_gives_up(duo: LeaseDuo) -> None:
    """It does when it could not set its routes five times within ten seconds, since the device was down each time."""
    as_before(duo)
    duo.bravo.power_cut()  # a gateway that is not reached so often would have it take over
    gave_up = lambda: "refusing to reconfigure" in duo.alpha.sh("journalctl --no-pager -u systemd-networkd")  # noqa: E731
    for _ in range(100):
        duo.alpha.sh(BLINKS_WHEN_LENT)
        if gave_up():
            break
    assert gave_up()
    wait_for(lambda: has_a_way_on(duo.alpha) and confirmed_by_the_provider(duo.alpha), 30, "the lease is there again")
    duo.host.ping(ROUTER, timeout=10)
    in_order(duo.alpha)


def test_another_address_is_followed(duo: LeaseDuo) -> None:
    """The provider forgot the lease while the master died: its word counts, and nothing hides behind the old one."""
    as_before(duo)
    duo.lend(77)
    duo.alpha.power_cut()
    wait_for(lambda: lent(duo.bravo) == "203.0.113.77", 60, "bravo has what it was given")
    with capture(duo.internet, "zurich", f"src host {VIRTUAL}") as stale:
        duo.host.ping(ROUTER, timeout=10)
        in_order(duo.bravo)
    assert stale.lines == []
    assert VIRTUAL not in duo.bravo.sh("ip -4 address show lease-wan; ip route")
    duo.alpha.boot()
    duo.settled(duo.alpha, 60)
    wait_for(lambda: lent(duo.alpha) == "203.0.113.77", 10, "alpha, too")


def test_the_provider_has_seen_one_client(duo: LeaseDuo, asked: list[Capture]) -> None:
    """In all that went before."""
    said = "\n".join(asked[0].lines)
    assert set(re.findall(r"Client-Ethernet-Address (\S+)", said)) == {MAC}
    identities = set(re.findall(r"Client-ID \(61\), length \d+: (.+)", said))
    print(identities)
    assert len(identities) == 1
    assert not re.search("Release|Decline", said)
    assert len(duo.internet.sh("cat /run/dhcp.leases").splitlines()) == 1
