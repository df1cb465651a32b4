"""Twenty classic mistakes, sent by an administrator who is far away: each time he gets in again, without a hand.

He sits at the laptop of tests/labs/office.py and reaches the box through the tunnel, where a rule lets him in.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab import Lab, genkey, genpsk, wait_for
from tests.labs.office import ALICE, ZURICH, Office, status
from tests.labs.wiring import fetch

ZURICH_INSIDE = "10.20.0.1"
SSH = 22
FILE = "/tmp/office.yaml"
RULE = "    - {{from: office.alice, to: box, services: [ssh]}}\n"
GOOD = ZURICH.replace("  masquerade:", RULE + "  masquerade:")
WITHIN = 6
"""Seconds that an administrator here gives himself."""
PROOF = 14
"""Seconds that the box gets to prove itself: a peer with nothing to say answers within 10."""


def changed(before: str, after: str, text: str = GOOD) -> str:
    assert before in text, before
    return text.replace(before, after)


WAN, LAN = "address: 203.0.113.2/24", "address: 192.168.10.1/24"
MISTAKES: dict[str, Callable[[], str]] = {
    "wrong subnet on the LAN": lambda: changed(LAN, "address: 192.168.99.1/24"),
    "wrong gateway": lambda: changed("gateway: 203.0.113.1", "gateway: 203.0.113.77"),
    "the rule that lets him in is gone": lambda: changed(RULE, ""),
    "his own key mistyped": lambda: changed("{alice}", genkey().public),
    "his own address mistyped": lambda: changed(f"address: {ALICE}", "address: 10.20.0.99"),
    "another preshared key": lambda: changed("psk-alice", "psk-other"),
    "the tunnel's port moved": lambda: changed("listen_port: 51820", "listen_port: 51999"),
    "the tunnel's networks moved": lambda: changed("10.20.0.1/24", "10.21.0.1/24"),
    "the tunnel renamed, so another key": lambda: GOOD.replace("office:", "hq:").replace("office.", "hq."),
    "the tunnel gone": lambda: re.sub(r"tunnels:.*(?=firewall:)", "", re.sub(r".*office.*\n", "", GOOD), flags=re.S),
    "he himself gone": lambda: re.sub(
        r"      alice:.*?(?=      geneva:)", "", re.sub(r".*office\.alice.*\n", "", GOOD), flags=re.S
    ),
    "the public address mistyped": lambda: changed(WAN, "address: 203.0.113.22/24"),
    "the public prefix mistyped": lambda: changed(WAN, "address: 203.0.113.2/32"),
    "the uplink set to DHCP, which nobody offers": lambda: changed(f"{WAN}, gateway: 203.0.113.1", "address: dhcp"),
    "the cables swapped": lambda: GOOD.replace("enp1s0", "X").replace("enp2s0", "enp1s0").replace("X", "enp2s0"),
    "the addresses swapped": lambda: (
        GOOD.replace("203.0.113.2/24, gateway: 203.0.113.1", "X")
        .replace("192.168.10.1/24", "203.0.113.2/24, gateway: 203.0.113.1")
        .replace("X", "192.168.10.1/24")
    ),
    "an MTU of 576": lambda: changed(WAN, f"{WAN}, mtu: 576"),
    "the default route into the tunnel": lambda: changed("[192.168.20.0/24]", "[0.0.0.0/0]"),
    "overlapping networks of two peers": lambda: changed(
        f"address: {ALICE}\n", f"address: {ALICE}\n        networks: [192.168.20.0/25]\n"
    ),
    "a card that is not there": lambda: changed("enp1s0", "enp9s0"),
    "the whole firewall section gone": lambda: GOOD[: GOOD.index("firewall:")],
    "half of the file": lambda: "",
}


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Iterator[Office]:
    office = Office(shared_lab).build().go_online()
    office.zurich.put("/data/appliance/secrets/psk-other", genpsk(), 0o600)
    office.apply(office.zurich, GOOD)
    # The box itself has no such program; its network is where the listener stands.
    argv = ["nsenter", f"--net={office.zurich.netns}", "socat"]
    argv += [f"TCP6-LISTEN:{SSH},ipv6only=0,reuseaddr,fork", "SYSTEM:echo here"]
    listener = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: f":{SSH} " in office.zurich.sh("ss -Hltn"), 5, "somebody listens")
        yield office
    finally:
        listener.kill()
        listener.wait()


def gets_in(office: Office) -> bool:
    return fetch(office.laptop, ZURICH_INSIDE, SSH, 0.5) == "here"


@pytest.fixture(autouse=True)
def inside(office: Office) -> None:
    wait_for(lambda: gets_in(office), 20, "the administrator is in")


def put(office: Office, mistake: str) -> None:
    text = MISTAKES[mistake]()
    whole = office.yaml("zurich", GOOD)
    office.zurich.put(FILE, office.yaml("zurich", text) if text else whole[: len(whole) // 2])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_he_waits(office: Office, mistake: str) -> None:
    """A trial that nobody can confirm; the time promised is the one that he gave."""
    zurich = office.zurich
    before = status(zurich)["generation"]
    put(office, mistake)
    done = zurich.run("appliance", "apply", f"--confirm-within={WITHIN}s", FILE, check=False)
    applied = time.monotonic()
    if done.returncode:
        print(f"{mistake}: refused: {done.stderr.splitlines()[0]}")
    else:
        locked = not gets_in(office)
        wait_for(lambda: status(zurich)["trial"] is None, WITHIN + 30, "the trial is over", 0.2)
        wait_for(lambda: gets_in(office), 20, "the administrator is in again")
        back = time.monotonic() - applied
        print(f"{mistake}: {'locked out, back' if locked else 'not locked out, gone again'} after {back:.1f} s")
    assert status(zurich)["generation"] == before


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_box_decides(office: Office, mistake: str) -> None:
    """As a bundle is applied: the box confirms only what leaves the way open on which the change came."""
    zurich = office.zurich
    before = status(zurich)["generation"]
    put(office, mistake)
    session = f"SSH_CONNECTION={ALICE} 40000 {ZURICH_INSIDE} {SSH}"
    auto = ["appliance", "apply", "--confirm=auto", f"--confirm-within={PROOF}s", FILE]
    done = zurich.run("env", session, *auto, check=False, timeout=90)
    if done.returncode:
        print(f"{mistake}: {done.stderr.splitlines()[0][:200]}")
        assert status(zurich)["generation"] == before
    else:
        assert gets_in(office), f"{mistake} was confirmed, and he is locked out"
        print(f"{mistake}: confirmed; he gets in")
        office.apply(zurich, GOOD)
