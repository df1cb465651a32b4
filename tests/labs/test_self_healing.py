"""What breaks is put right by itself, and what need not stop goes on (PRODUCT.md, promises 3 and 5).

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

import json
import time

import pytest

from tests.lab import Box, Lab, Probe, wait_for
from tests.labs.office import BRANCH_HOST, OFFICE_HOST, ZURICH, Office, in_order, peer_state, status


@pytest.fixture
def office(lab: Lab) -> Office:
    office = Office(lab).build().go_online()
    office.branch_host.ping(OFFICE_HOST, timeout=15)
    office.laptop.ping(OFFICE_HOST, timeout=15)
    return office


def supervisor_pid(box: Box) -> int:
    return int(box.sh("systemctl show --property=MainPID --value appliance"))


def engine_pid(box: Box) -> int:
    return int(box.sh("systemctl show --property=MainPID --value appliance-engine@wg-office"))


def repaired_in_ms(box: Box) -> list[int]:
    """What the journal's fields say of the repairs so far."""
    lines = map(json.loads, box.journal("-u", "appliance", "-o", "json").splitlines())
    return [int(entry["MILLISECONDS"]) for entry in lines if str(entry["MESSAGE"]).startswith("put right")]


def test_supervisor_killed_under_load(office: Office) -> None:
    """kill -9 of the supervisor, five times: not one packet is lost, and systemd starts it again."""
    with Probe(office.branch_host, office.host, OFFICE_HOST, 0.005) as probe:
        probe.flowing(packets=50)
        for _ in range(5):
            before = supervisor_pid(office.zurich)
            office.zurich.run("kill", "-9", str(before))
            wait_for(lambda: supervisor_pid(office.zurich) not in (0, before), 10, "systemd has started it again")  # noqa: B023
            in_order(office.zurich, 10)
            probe.flowing(packets=50)
    assert probe.report.lost == (), str(probe.report)
    assert not repaired_in_ms(office.zurich)[1:], "a new supervisor finds nothing to do"


def test_engine_killed_under_load(office: Office) -> None:
    """kill -9 of wireguard-go: a new one has its configuration back in under a second, and traffic goes on."""
    with Probe(office.host, office.branch_host, BRANCH_HOST) as probe:
        probe.flowing(packets=50)
        before = engine_pid(office.zurich)
        started = time.monotonic()
        office.zurich.run("kill", "-9", str(before))
        wait_for(lambda: engine_pid(office.zurich) not in (0, before), 10, "the engine runs again")
        in_order(office.zurich, 10)
        took = time.monotonic() - started
        probe.flowing(timeout=15, packets=50)
        print(f"engine killed: configuration back after {took * 1000:.0f} ms (asked every 100 ms); {probe.report}")
    assert max(repaired_in_ms(office.zurich)) < 1000
    assert peer_state(office.zurich, "office.geneva")["state"] == "up"


def test_engine_killed_and_a_roaming_laptop(office: Office) -> None:
    """Where the laptop was, only the dead engine knew; it is called there at once instead of waiting for it 15 s."""
    with Probe(office.laptop, office.host, OFFICE_HOST) as probe:
        probe.flowing(packets=50)
        # The supervisor notes where peers are with each beat of its watchdog, 5 s.
        wait_for(
            lambda: peer_state(office.zurich, "office.alice")["handshake_age_seconds"] > 6, 20, "a beat has passed"
        )
        before = engine_pid(office.zurich)
        office.zurich.run("kill", "-9", str(before))
        wait_for(lambda: engine_pid(office.zurich) not in (0, before), 10, "the engine runs again")
        probe.flowing(timeout=15, packets=50)
    print(f"engine killed: {probe.report}")
    assert probe.report.longest_gap_ms < 5000
    in_order(office.zurich)
    assert peer_state(office.zurich, "office.alice")["keepalive_seconds"] == 0


def test_tunnel_interface_deleted_by_hand(office: Office) -> None:
    """`ip link del wg-office`: the interface, its addresses, peers and routes are back."""
    office.zurich.run("ip", "link", "del", "wg-office")
    wait_for(lambda: "wg-office" in office.zurich.sh("ip -o link"), 5, "the interface is back")
    in_order(office.zurich, 10)
    office.branch_host.ping(OFFICE_HOST, timeout=20)


def test_address_route_and_forwarding_removed_by_hand(office: Office) -> None:
    """A tunnel's address, a peer's route, a LAN address, ip_forward: each is put back; a stranger's route stays."""
    office.zurich.run("ip", "route", "add", "10.99.0.0/24", "via", "203.0.113.99")
    office.zurich.run("ip", "route", "del", "192.168.20.0/24", "dev", "wg-office")
    wait_for(lambda: "192.168.20.0/24 dev wg" in office.zurich.sh("ip route"), 5, "the route is back")
    office.zurich.run("ip", "address", "del", "10.20.0.1/24", "dev", "wg-office")
    office.zurich.run("sysctl", "-w", "net.ipv4.ip_forward=0")
    office.zurich.run("ip", "address", "del", "192.168.10.1/24", "dev", "enp2s0")
    for there in (
        "ip -o address show dev wg-office | grep 10.20.0.1/24",
        "ip route | grep '192.168.20.0/24 dev wg-office'",
        "sysctl net.ipv4.ip_forward | grep 1$",
        "ip -o address show dev enp2s0 | grep 192.168.10.1/24",
    ):
        wait_for(lambda: office.zurich.sh(there, check=False), 5, there)  # noqa: B023
    in_order(office.zurich, 10)
    assert "10.99.0.0/24" in office.zurich.sh("ip route")
    office.branch_host.ping(OFFICE_HOST, timeout=20)


@pytest.mark.parametrize(
    "command",
    [
        "nft flush ruleset",
        "nft delete table inet appliance",
        "nft flush chain inet appliance forward",
        "nft insert rule inet appliance forward accept",
        "nft 'table inet appliance { chain forward { policy accept; }; }'",
    ],
)
def test_table_changed_by_hand(office: Office, command: str) -> None:
    """Whatever somebody does to our table, it is back at once; a table of theirs is left alone."""
    office.zurich.sh("nft add table inet theirs")

    def table() -> list[str]:
        """In any order: nft lists chains as they were made."""
        return sorted(office.zurich.sh("nft -s list table inet appliance", check=False).splitlines())

    before = table()
    office.zurich.sh(command)
    wait_for(lambda: table() == before, 5, "the table is as before")
    in_order(office.zurich)
    assert repaired_in_ms(office.zurich)[-1] < 1000
    if "flush ruleset" not in command:
        office.zurich.sh("nft list table inet theirs")
    office.laptop.ping(OFFICE_HOST)


def test_box_rebooted(office: Office) -> None:
    """A reboot and a power cut: the confirmed file is loaded, and the office is online again without a hand."""
    for off in (office.zurich.shutdown, office.zurich.power_cut):
        off()
        seconds = office.zurich.boot()
        in_order(office.zurich, 10)
        office.branch_host.ping(OFFICE_HOST, timeout=30)
        office.laptop.ping(OFFICE_HOST, timeout=30)
        print(f"booted in {seconds * 1000:.0f} ms")
    assert status(office.zurich)["forwarding"]


FLOOR = (
    "from appliance.shell.paths import Paths; from appliance.supervisor.time_floor import write_floor; "
    "write_floor(Paths(), {})"
)


def test_a_clock_that_starts_in_the_past(office: Office) -> None:
    """Below the floor on disk: the clock is set before anything is sent. Where it cannot be, the office goes on, and
    status says why a peer may refuse. The lab's boxes may not set clocks, so the attempt is what can be seen."""
    office.zurich.shutdown()
    office.zurich.power_on()
    floor = time.time() + 86400
    office.zurich.run("python3", "-c", FLOOR.format(floor))
    office.zurich.power_cut()
    office.zurich.boot()
    office.branch_host.ping(OFFICE_HOST, timeout=30)
    office.laptop.ping(OFFICE_HOST, timeout=30)
    assert "24 hours behind the last handshakes and cannot be set" in " ".join(status(office.zurich)["warnings"])
    units = office.zurich.journal("--output=json", "--unit=appliance-clock@*")
    set_to = [json.loads(line)["UNIT"] for line in units.splitlines() if "UNIT" in json.loads(line)]
    assert set_to
    booted = float(set_to[0].removeprefix("appliance-clock@").removesuffix(".service"))
    assert booted + float(office.zurich.sh("cat /proc/uptime").split()[0]) >= floor - 1
    assert "Operation not permitted" in office.zurich.journal("--unit=appliance-clock@*")


def test_one_peers_change_touches_no_other(office: Office) -> None:
    """Adding, changing and removing a peer, and applying twice, while another peer's packets flow: none is lost."""
    added = ZURICH.replace(
        "      geneva:",
        "      bob:\n        public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
        "        address: 10.20.0.11\n      geneva:",
    )
    changed = added.replace("10.20.0.11", "10.20.0.12").replace("keepalive: 25", "keepalive: 20")
    with Probe(office.branch_host, office.host, OFFICE_HOST, 0.005) as probe:
        probe.flowing(packets=50)
        for text in (added, added, changed, ZURICH, ZURICH):
            office.apply(office.zurich, text)
            probe.flowing(packets=50)
    assert probe.report.lost == (), str(probe.report)
