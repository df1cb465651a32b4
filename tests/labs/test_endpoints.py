"""Endpoints that are names: a dead resolver, names that nobody knows, a branch that moved, a laptop that roams.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

import time

import pytest

from tests.lab import Lab, Probe, genkey, wait_for
from tests.labs.office import ALICE, BRANCH_HOST, GENEVA, GENEVA_WAN, OFFICE_HOST, ZURICH, Office, in_order, peer_state

MOVED = "198.51.100.7"
DEAD = "udp dport 53"


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Office:
    office = Office(shared_lab).build().go_online()
    office.host.ping(BRANCH_HOST, timeout=15)
    office.laptop.ping(OFFICE_HOST, timeout=15)
    return office


def seen_at(office: Office, address: str) -> None:
    wait_for(
        lambda: peer_state(office.zurich, "office.alice")["endpoint"].startswith(f"{address}:"),
        15,
        f"zurich saw the laptop at {address}",
    )


def test_a_roaming_laptop_is_not_reset_by_an_apply(office: Office) -> None:
    """Its provider gives the laptop's router another address, twice; each time a change elsewhere is applied."""
    changed = ZURICH.replace("keepalive: 25", "keepalive: 24")
    with Probe(office.laptop, office.host, OFFICE_HOST) as probe:
        probe.flowing(packets=20)
        for old, new, text in (("192.0.2.2", "192.0.2.7", changed), ("192.0.2.7", "192.0.2.8", ZURICH)):
            office.home.sh(
                f"ip address del {old}/24 dev wan; ip address add {new}/24 dev wan;"
                "ip route replace default via 192.0.2.1; conntrack -F 2>/dev/null"
            )
            seen_at(office, new)
            probe.flowing(packets=20)
            lost = probe.report
            before = peer_state(office.zurich, "office.alice")
            office.apply(office.zurich, text)
            probe.flowing(packets=50)
            after = peer_state(office.zurich, "office.alice")
            assert after["endpoint"] == before["endpoint"], "the laptop's endpoint is its own to move"
            assert probe.report.sent - probe.report.received <= lost.sent - lost.received + 1, "the apply lost nothing"
    print(f"roamed twice: {probe.report}; now at {after['endpoint']}, {ALICE}")


def test_a_branch_that_moved_is_followed(office: Office) -> None:
    """geneva gets another address, the name says so; only the office speaks, so the box has to find out by itself."""
    with Probe(office.host, office.branch_host, BRANCH_HOST) as probe:
        probe.flowing(packets=20)
        moved = GENEVA.replace(f"address: {GENEVA_WAN}/24", f"address: {MOVED}/24")
        office.names({"geneva.example.net": MOVED, "zurich.example.net": "203.0.113.2"})
        # While it moves nothing of geneva's may give it away: what it sends would be followed at once.
        office.internet.drop(f'iifname "geneva" ip saddr {MOVED} udp dport 51820')
        office.apply(office.geneva, moved)
        received = probe.report.received
        started = time.monotonic()
        office.internet.undrop()
        office.internet.drop(f'iifname "geneva" ip saddr {MOVED} udp dport 51820 ct state new')
        wait_for(
            lambda: peer_state(office.zurich, "office.geneva")["endpoint"] == f"{MOVED}:51820",
            40,
            "zurich calls the new address",
        )
        called = time.monotonic() - started
        office.internet.undrop()
        wait_for(lambda: probe.report.received > received + 20, 30, "the branch answers again")
        seconds = time.monotonic() - started
    print(f"geneva moved: called at its new address after {called:.1f} s, traffic after {seconds:.1f} s")
    assert called < 20


def test_a_boot_with_a_dead_resolver(office: Office) -> None:
    """The last good answer is on the disk: after a power cut the branch is back although nobody answers questions."""
    office.internet.drop(DEAD, "input")
    office.zurich.power_cut()
    started = time.monotonic()
    office.zurich.boot()
    office.host.ping(BRANCH_HOST, timeout=20)
    print(f"resolver dead: power on to the branch's answer in {time.monotonic() - started:.1f} s")
    office.laptop.ping(OFFICE_HOST, timeout=20)
    in_order(office.zurich, 10)
    office.internet.undrop()


def test_a_boot_with_a_dead_resolver_and_no_answer_on_disk(office: Office) -> None:
    """Everything else works at once; when the resolver is back, the name is looked up without being asked to."""
    office.internet.drop(DEAD, "input")
    # The branch notices after 15 s that its session is gone, and would say by itself where it is.
    office.internet.drop("ip saddr 198.51.100.0/24 udp dport 51820")
    office.zurich.power_cut()
    for kept in ("endpoints.json", "whereabouts.json"):
        (office.zurich.data / "appliance" / kept).unlink(missing_ok=True)
    started = time.monotonic()
    office.zurich.boot()
    office.host.ping("203.0.113.1", timeout=10)
    office.laptop.ping(OFFICE_HOST, timeout=20)
    took = time.monotonic() - started
    assert peer_state(office.zurich, "office.geneva")["endpoint"] is None
    assert not office.host.pings(BRANCH_HOST)
    office.internet.undrop()
    started = time.monotonic()
    office.host.ping(BRANCH_HOST, timeout=60)
    print(
        f"all but the name in {took:.1f} s; the branch {time.monotonic() - started:.1f} s after the resolver came back"
    )


def test_fifty_dead_names_delay_nothing(office: Office) -> None:
    """`appliance apply` with 50 endpoints whose names nobody answers for, beside 50 that are addresses."""
    keys = [genkey().public for _ in range(50)]

    def peers(endpoint: str) -> str:
        lines = [
            f"      site{number}: {{{{public_key: {key}, "
            f"endpoint: {endpoint.format(number)}, address: 10.20.0.{100 + number}}}}}\n"
            for number, key in enumerate(keys)
        ]
        return ZURICH.replace("firewall:\n", "".join(lines) + "firewall:\n", 1)

    office.internet.drop(DEAD, "input")
    seconds = {}
    for what, endpoint in (("addresses", "'192.0.2.{}:51820'"), ("dead names", "'dead{}.example.net:51820'")):
        office.apply(office.zurich, ZURICH)
        started = time.monotonic()
        office.apply(office.zurich, peers(endpoint))
        seconds[what] = time.monotonic() - started
    with Probe(office.laptop, office.host, OFFICE_HOST) as probe:
        probe.flowing(packets=50)
    office.internet.undrop()
    office.apply(office.zurich, ZURICH)
    print("apply of 50 peers: " + ", ".join(f"{what} {took:.2f} s" for what, took in seconds.items()))
    assert seconds["dead names"] < 2 * seconds["addresses"] + 1
