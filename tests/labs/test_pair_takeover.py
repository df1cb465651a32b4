"""A box dies, and the office does not notice. The drawing stands in tests/labs/pair.py.

One pair for all of it: each event is measured, and the pair is as before when it is over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from appliance.core.pair.names import READY_FILE, UNATTENDED, UNFIT
from tests.lab import Box, Lab, Probe, capture, wait_for
from tests.labs.office import peer_state, status
from tests.labs.pair import HOST, LAN_ROUTER, LAPTOP, PHONE, VIRTUAL, Duo, hand_over, has_virtual, pair, prefer_alpha
from tests.labs.wiring import apply


@pytest.fixture(scope="module")
def duo() -> Iterator[Duo]:
    with Lab("pair-takeover", __doc__ or "") as lab:
        yield Duo(lab).build().boot()


@contextmanager
def traffic(duo: Duo, event: str, most_ms: float = float("inf"), lossless: bool = False) -> Iterator[None]:
    """Probes through tunnel and NAT while something happens; prints the longest gaps, none of them above `most_ms`.

    What is promised `make bench-failover` measures, with the machine to itself.
    """
    with ExitStack() as stack:
        probes = {
            "laptop→host": stack.enter_context(Probe(duo.laptop, duo.host, HOST, 0.005)),
            "host→laptop": stack.enter_context(Probe(duo.host, duo.laptop, LAPTOP, 0.005)),
            "host→phone": stack.enter_context(Probe(duo.host, duo.phone, PHONE, 0.005)),
            "branch→host": stack.enter_context(Probe(duo.branch, duo.host, HOST, 0.005)),
            "host→internet": stack.enter_context(Probe(duo.host, duo.internet, "203.0.113.1", 0.005)),
        }
        for probe in probes.values():
            probe.flowing(timeout=30, packets=100)
        yield
        for probe in probes.values():
            probe.flowing(timeout=30, packets=100)
    gaps = {name: probe.report.longest_gap_ms for name, probe in probes.items()}
    print(f"{event}: longest gap in ms: {', '.join(f'{name} {gap:.0f}' for name, gap in gaps.items())}")
    assert max(gaps.values()) <= most_ms, gaps
    assert not lossless or not any(probe.report.lost for probe in probes.values())


def test_supervisor_killed(duo: Duo) -> None:
    """kill -9 of the master's supervisor: the role stays."""
    prefer_alpha(duo)
    with traffic(duo, "supervisor killed", lossless=True):
        duo.alpha.sh("kill -9 $(systemctl show --property=MainPID --value appliance)")
        wait_for(lambda: pair(duo.alpha).get("role") == "master", 20, "its successor knows what it is")
    assert duo.settled() is duo.alpha


def test_a_supervisor_that_stays_away(duo: Duo) -> None:
    """Nobody would see its uplink die, follow a peer that moves, or say what is wrong: the other box takes the role."""
    prefer_alpha(duo)
    with traffic(duo, "supervisor away", 1000):
        duo.alpha.sh("systemctl stop appliance")
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 20, "bravo is master")
    wait_for(lambda: fit_for(duo.alpha) == UNFIT, 5, "alpha will not take the role back")
    with traffic(duo, "supervisor back", 1000):
        duo.alpha.sh("systemctl start appliance")
        prefer_alpha(duo)


def test_two_supervisors_that_stay_away(duo: Duo) -> None:
    """The standby's tunnels are muted, and it has nobody to unmute them: nothing moves."""
    prefer_alpha(duo)
    with traffic(duo, "both supervisors away", 50):
        for box in (duo.bravo, duo.alpha):
            box.sh("systemctl stop appliance")
        wait_for(lambda: (fit_for(duo.alpha), fit_for(duo.bravo)) == (UNATTENDED, UNFIT), 20, "both have said so")
    with traffic(duo, "and bravo's is back", 1000):
        duo.bravo.sh("systemctl start appliance")
        wait_for(lambda: pair(duo.bravo).get("role"), 20, "bravo's supervisor is there")
    assert has_virtual(duo.alpha), "bravo has not heard its partner since it started"
    duo.alpha.sh("systemctl start appliance")
    prefer_alpha(duo)


def test_what_lets_a_master_speak_is_put_back_and_goes_with_the_role(duo: Duo) -> None:
    prefer_alpha(duo)
    duo.alpha.sh("ip rule del priority 5040; ip -6 rule del priority 5040")
    wait_for(lambda: len(voice(duo.alpha)) == 2, 10, "the rules are back, of both IP versions")
    duo.laptop.ping(HOST, timeout=20)
    hand_over(duo.alpha, "bravo")
    duo.settled(duo.bravo)
    wait_for(lambda: voice(duo.alpha) == [], 10, "alpha has none of them")
    assert len(voice(duo.bravo)) == 2
    hand_over(duo.bravo, "alpha")
    duo.settled(duo.alpha, 60)


def voice(box: Box) -> list[str]:
    return box.sh("ip rule show priority 5040; ip -6 rule show priority 5040").splitlines()


def fit_for(box: Box) -> int:
    return int(box.sh(f"cat {READY_FILE}"))


def test_planned_handover_and_return(duo: Duo) -> None:
    """The role is given away before anything stops; who gave it away on request does not take it back by itself."""
    prefer_alpha(duo)
    with traffic(duo, "planned handover", 1000):
        hand_over(duo.alpha, "bravo")
        duo.settled(duo.bravo)
    assert "it gave the role away on request" in pair(duo.alpha)["not_ready"]
    with traffic(duo, "planned handover back", 1000):
        hand_over(duo.bravo, "alpha")
        duo.settled(duo.alpha, 60)


def test_a_master_that_is_told_to_go_down(duo: Duo) -> None:
    """A reboot without `appliance handover`: keepalived gives the role away before the tunnels stop (44-68 ms)."""
    prefer_alpha(duo)
    with traffic(duo, "reboot of the master", 1000):
        # Off, as a container cannot start itself again.
        duo.alpha.run("systemctl", "--no-block", "poweroff")
        wait_for(lambda: not duo.alpha.running, 30, "alpha is off")
    duo.alpha.power_cut()
    duo.alpha.boot()
    prefer_alpha(duo)


def test_power_cut_and_return(duo: Duo) -> None:
    prefer_alpha(duo)
    with traffic(duo, "power cut of the master", 1500):
        duo.alpha.power_cut()
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")
    wait_for(lambda: pair(duo.bravo)["takeover"]["first_handshake"] is not None, 10, "the takeover was measured")
    took = pair(duo.bravo)["takeover"]
    unmuted, first = (round(took[phase] * 1000) for phase in ("unmuted", "first_handshake"))
    print(f"after MASTER: unmuted {unmuted} ms, first handshake {first} ms")
    wait_for(lambda: pair(duo.bravo)["takeover"]["done"], 60, "nobody is being called any more")
    lines = duo.bravo.journal("SYSLOG_IDENTIFIER=appliance", "-o", "json").splitlines()
    told = [entry for entry in map(json.loads, lines) if "ROLE" in entry or "UNMUTED_MS" in entry][-2:]
    assert [entry.get("ROLE") for entry in told] == ["master", None], told
    assert (int(told[1]["UNMUTED_MS"]), int(told[1]["FIRST_HANDSHAKE_MS"])) == (unmuted, first)
    assert int(told[1]["ANSWERED"]) >= 1
    assert [entry["VRRP"] for entry in map(json.loads, lines) if "VRRP" in entry][-1] == "MASTER"
    with traffic(duo, "preferred box boots and returns", 1000):
        duo.alpha.boot()
        duo.settled(duo.alpha, 60)


def test_a_link_that_comes_back_to_a_box_alone(duo: Duo) -> None:
    """The kernel took the routes away with it, and no takeover brings them back."""
    prefer_alpha(duo)
    duo.bravo.power_cut()
    duo.alpha.sh("ip link set enp1s0 down")
    wait_for(lambda: not duo.laptop.pings(HOST), 10, "the link is down")
    duo.alpha.sh("ip link set enp1s0 up")
    for node in (duo.laptop, duo.branch):
        node.ping(HOST, timeout=20)
    duo.bravo.boot()
    prefer_alpha(duo)


@pytest.mark.parametrize("pull", [lambda box: box.links[0], lambda box: box.links[1]], ids=["wan", "lan"])
def test_cable(duo: Duo, pull: Callable[[Box], object]) -> None:
    """A dead uplink, or a dead LAN, gives way to a living one."""
    prefer_alpha(duo)
    link = pull(duo.alpha)
    with traffic(duo, f"cable {getattr(link, 'ifname', '')} out", 1500):
        link.cut()  # type: ignore[attr-defined]
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")
    link.mend()  # type: ignore[attr-defined]
    prefer_alpha(duo)


def test_gateway_silent(duo: Duo) -> None:
    """The cable is in and nobody answers: the role goes to the box that is answered, and stays where neither is."""
    prefer_alpha(duo)

    def says(box: Box) -> bool:
        return "the gateway of wan does not answer" in pair(box)["notes"]

    with traffic(duo, "gateway silent"), unanswered(duo, duo.alpha):
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 20, "bravo is master")
        assert says(duo.alpha) and "the gateway of wan does not answer" in pair(duo.alpha)["not_ready"]
        with unanswered(duo, duo.bravo):
            wait_for(lambda: says(duo.bravo), 20, "bravo's gateway is silent, too")
            since = pair(duo.bravo)["since"]
            duo.host.ping(LAN_ROUTER)
        wait_for(lambda: not says(duo.bravo), 20, "bravo's gateway answers again")
        assert duo.master() is duo.bravo and pair(duo.bravo)["since"] == since
    prefer_alpha(duo)


@contextmanager
def unanswered(duo: Duo, box: Box) -> Iterator[None]:
    """The router in the internet hears nothing of what the box sends, whatever the address."""
    table, rule = f"netdev deaf_{box.name}", f"ether saddr {box.links[0].mac} counter drop"
    duo.internet.nft(f"table {table} {{ chain in {{ type filter hook ingress device zurich priority 0;\n{rule}\n}}\n}}")
    try:
        yield
    finally:
        duo.internet.nft(f"table {table}\ndelete table {table}")


HOLDS = """\
from appliance.adapters.nft import Nft
from appliance.shell.takeover import HOLD_TEXT
nft = Nft()
nft.run(HOLD_TEXT)
nft.run(HOLD_TEXT)
"""


def test_who_dies_in_a_takeover_leaves_nobody_cut_off(duo: Duo) -> None:
    """What holds packets back while connections are committed ends by itself."""
    prefer_alpha(duo)
    with Probe(duo.host, duo.internet, "203.0.113.1", 0.005) as probe:
        probe.flowing(timeout=30, packets=100)
        duo.alpha.run("python3", "-c", HOLDS)
        probe.flowing(timeout=30, packets=100)
    assert "table inet appliance_hold" in duo.alpha.sh("nft list tables")
    assert 400 < probe.report.longest_gap_ms < 1500
    duo.alpha.nft("delete table inet appliance_hold")


def test_keepalived_killed(duo: Duo) -> None:
    prefer_alpha(duo)
    with traffic(duo, "keepalived killed", 1500):
        duo.alpha.sh("kill -9 $(pgrep -x keepalived)")
        wait_for(lambda: duo.master(), 20, "one box is master")
    prefer_alpha(duo)


LAST_BREATH = """\
cd /sys/fs/cgroup/system.slice/appliance-vrrp.service
echo 1 >cgroup.freeze
until grep -q 'frozen 1' cgroup.events; do :; done
printf "$1" | ip -batch -
echo 1 >cgroup.kill
"""


def test_keepalived_takes_the_virtual_addresses_with_it(duo: Duo) -> None:
    """Its child has real-time priority: told of its parent's end, it may get as far as that before it is killed, too.

    What it took stands again at once, while the box goes on without it and the other one has not taken over.
    """
    prefer_alpha(duo)

    def standing() -> list[str]:
        lines = duo.alpha.sh("ip -o address show; ip -d route show table all proto keepalived").splitlines()
        return [" ".join(line.split()) for line in lines if "proto 0x12" in line or "proto keepalived" in line]

    before = standing()
    words = [line.split() for line in before if "proto 0x12" in line]
    gone = "".join(f"address del {word[3]} dev {word[1]}\n" for word in words)
    assert VIRTUAL in gone
    duo.bravo.freeze()
    try:
        duo.alpha.run("sh", "-euc", LAST_BREATH, "sh", gone)
        wait_for(lambda: sorted(standing()) == sorted(before), 1.5, "what was taken stands again")
        assert "with it; put back" in duo.alpha.journal("-u", "appliance")
        duo.host.ping(LAN_ROUTER)
    finally:
        duo.bravo.thaw()
    duo.settled(timeout=30)


def test_engine_killed(duo: Duo) -> None:
    """The master's: the role stays, and the peers are called where they were."""
    prefer_alpha(duo)
    with traffic(duo, "engine killed", 2000):
        duo.alpha.sh("kill -9 $(systemctl show --property=MainPID --value appliance-engine@wg-office)")
        wait_for(lambda: peer_state(duo.alpha, "office.laptop")["handshake_age_seconds"] is not None, 20, "it is back")
    assert duo.settled() is duo.alpha


def test_master_stalls(duo: Duo) -> None:
    """It stands still for 1.5 s and goes on: the other one took over, and one of them yields."""
    prefer_alpha(duo)
    with traffic(duo, "master stalls for 1.5 s", 2500):
        duo.alpha.freeze()
        started = time.monotonic()
        wait_for(lambda: time.monotonic() - started > 1.5, 5, "a second and a half has passed")
        duo.alpha.thaw()
        duo.settled(timeout=30)
    prefer_alpha(duo)


def test_one_voice(duo: Duo) -> None:
    """Nobody but the master sends a WireGuard packet of the tunnel, or answers for a virtual address."""
    prefer_alpha(duo)
    with capture(duo.bravo, "enp1s0", "udp port 51820") as seen:
        with traffic(duo, "nothing happens"):
            pass
        ours = [line for line in seen.lines if "203.0.113.3" in line or f"{VIRTUAL}.51820 >" in line]
        assert not ours, ours[:5]
    assert VIRTUAL not in duo.bravo.sh("ip -o address")


def test_leaving_the_pair_and_coming_back(duo: Duo) -> None:
    """Without `failover:` a standby becomes a box that stands alone, its tunnels up; a refused file changes nothing."""
    prefer_alpha(duo)
    whole = duo.bravo.run("appliance", "history", "1").stdout
    alone = whole[: whole.index("failover:")] + whole[whole.index("tunnels:") :]

    def tunnel_up() -> bool:
        return ",UP" in duo.bravo.sh("ip -o link show wg-office")

    assert not tunnel_up()
    duo.bravo.put("/data/appliance/appliance.yaml", alone)
    apply(duo.bravo)
    wait_for(tunnel_up, 10, "the tunnel of a box alone is up")
    assert status(duo.bravo)["role"] == "alone"
    assert duo.bravo.sh("pgrep -x keepalived || true") == ""

    duo.bravo.put("/data/appliance/appliance.yaml", whole.replace("enp1s0", "enp9s0"))
    refused = duo.bravo.run("appliance", "apply", check=False)
    assert refused.returncode == 1 and "enp9s0 does not exist" in refused.stderr
    assert tunnel_up() and status(duo.bravo)["role"] == "alone"

    duo.bravo.put("/data/appliance/appliance.yaml", whole)
    apply(duo.bravo)
    wait_for(lambda: pair(duo.bravo).get("role") == "backup", 20, "bravo stands in again")
    assert not tunnel_up()
    found = duo.settled()
    if found is not duo.alpha:
        for box in (duo.alpha, duo.bravo):
            print(box.name, box.journal("-u", "appliance", "-u", "appliance-vrrp", "-n", "60"))
    assert found is duo.alpha
