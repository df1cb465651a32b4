"""The box's own key is renewed: the old one goes on beside the new one until every peer has its new file.

The drawings stand in tests/labs/office.py (alice's laptop is a stock wg-quick, geneva a box with a file of its own) and
in tests/labs/pair.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Box, Lab, Node, Probe, wait_for
from tests.labs.office import ALICE, BRANCH_HOST, GENEVA, LAPTOP, OFFICE_HOST, Office, in_order, status
from tests.labs.pair import HOST, PEER, Duo, hand_over
from tests.labs.pair import LAPTOP as PAIR_LAPTOP

MOVE_MS = 2000.0
"""A new file costs a handshake, and half a second at most until the box has seen it."""


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Office:
    made = Office(shared_lab).build().go_online()
    made.laptop.ping(OFFICE_HOST, timeout=15)
    made.branch_host.ping(OFFICE_HOST, timeout=15)
    return made


@pytest.fixture(scope="module")
def duo() -> Iterator[Duo]:
    with Lab("own-keys-pair", __doc__ or "") as lab:
        made = Duo(lab).build().boot()
        made.settled(made.alpha, 40)
        made.laptop.ping(HOST, timeout=30)
        made.branch.ping(HOST, timeout=30)
        yield made


def rotate(box: Box, *words: str, check: bool = True) -> str:
    done = box.run("appliance", "peer", "rotate", "--own", *words, check=check, timeout=120)
    if done.returncode == 0 and "on trial" in done.stdout:
        box.run("appliance", "confirm")
    assert check or done.returncode == 1
    return done.stdout + done.stderr


def by_key(box: Box) -> dict[str, dict[str, str]]:
    """The peers that use each of the box's keys, with their states: "office", "office/old"."""
    found = {each["name"]: each["peers"] for each in status(box)["tunnels"] if each["name"].startswith("office")}
    return {name: {peer["name"]: peer["state"] for peer in peers} for name, peers in found.items()}


def tunnel(box: Box, name: str) -> dict[str, Any]:
    return next(each for each in status(box)["tunnels"] if each["name"] == name)


def notices(box: Box) -> str:
    return " ".join(status(box)["notices"])


def way(box: Box, address: str) -> str:
    return str(json.loads(box.run("ip", "-j", "route", "get", address).stdout)[0]["dev"])


def new_file(node: Node, conf: str, name: str) -> None:
    """As `wg-quick` would on its next start, without its pause."""
    node.put("/etc/wireguard/new.conf", conf, 0o600)
    node.sh(f"wg-quick strip new >/run/new && wg syncconf {name} /run/new")


def test_a_trial_that_nobody_confirms_leaves_the_key_before(office: Office) -> None:
    box = office.zurich
    box.put("/data/appliance/before.yaml", box.run("cat", "/data/appliance/appliance.yaml").stdout, 0o600)
    done = box.run("appliance", "peer", "rotate", "--own")
    assert "no tunnel is touched" in done.stdout and set(by_key(box)) == {"office", "office/old"}
    box.run("appliance", "rollback")
    assert set(by_key(box)) == {"office"} and tunnel(box, "office")["public_key"] == office.keys["zurich"].public
    office.laptop.ping(OFFICE_HOST)
    box.sh("mv /data/appliance/before.yaml /data/appliance/appliance.yaml")
    in_order(box)


def test_nobody_is_cut_off_while_the_new_files_travel(office: Office) -> None:
    box, laptop, branch = office.zurich, office.laptop, office.branch_host
    old = office.keys["zurich"].public
    with Probe(laptop, office.host, OFFICE_HOST) as alice, Probe(branch, office.host, OFFICE_HOST) as geneva:
        alice.flowing(packets=50)
        said = rotate(box, "--confirm", "auto")
        alice.flowing(packets=100)
        geneva.flowing(packets=100)
    assert "applied and confirmed" in said, said
    assert (alice.report.lost, geneva.report.lost) == ((), ()), f"{alice.report}; {geneva.report}"
    new = tunnel(box, "office")["public_key"]
    assert new in said and new != old == tunnel(box, "office/old")["public_key"]
    assert by_key(box) == {"office": {}, "office/old": {"office.alice": "up", "office.geneva": "up"}}
    assert "not seen with the new one yet: office.alice, office.geneva" in notices(box)
    refused = rotate(box, "--finish", check=False)
    assert "office.alice, office.geneva have not been seen with the new key" in refused, refused
    assert "is being replaced already" in rotate(box, check=False)
    assert box.sh("stat -c %a /data/appliance/keys/wg-office.2.key").strip() == "600"

    # Alice's laptop is given what `peer show` says; geneva has not heard of it, and loses nothing.
    shown = box.run("appliance", "peer", "show", "alice").stdout
    assert f"PublicKey = {new}" in shown and "Endpoint = 203.0.113.2:51821" in shown, shown
    conf = LAPTOP.format(private=office.keys["alice"].private, zurich=new, psk=office.psk).replace("51820", "51821")
    with Probe(laptop, office.host, OFFICE_HOST) as alice, Probe(branch, office.host, OFFICE_HOST) as geneva:
        alice.flowing(packets=50)
        new_file(laptop, conf, "wg0")
        alice.flowing(packets=100)
        wait_for(lambda: "office.alice" in by_key(box)["office"], 5, "alice uses the new key")
        alice.flowing(packets=100)
    assert alice.report.longest_gap_ms < MOVE_MS, str(alice.report)
    assert geneva.report.lost == (), str(geneva.report)
    laptop.log.line(f"alice moves to the new key: {alice.report}")
    assert (way(box, ALICE), way(box, "10.20.0.2"), way(box, BRANCH_HOST)) == ("w2-office", "wg-office", "wg-office")
    # One with the new key reaches one with the old, by the same rule as before.
    laptop.ping("10.20.0.2")
    in_order(box)


def test_half_way_the_supervisor_is_killed_and_the_power_is_cut(office: Office) -> None:
    box, laptop, branch = office.zurich, office.laptop, office.branch_host
    with Probe(laptop, office.host, OFFICE_HOST) as alice, Probe(branch, office.host, OFFICE_HOST) as geneva:
        alice.flowing(packets=50)
        box.sh("kill -9 $(systemctl show -P MainPID appliance)")
        in_order(box, 10)
        alice.flowing(packets=100)
    assert (alice.report.lost, geneva.report.lost) == ((), ()), f"{alice.report}; {geneva.report}"
    box.power_cut()
    box.boot()
    branch.ping(OFFICE_HOST, timeout=40)
    laptop.ping(OFFICE_HOST, timeout=60)
    assert by_key(box) == {"office": {"office.alice": "up"}, "office/old": {"office.geneva": "up"}}


def test_another_office_moves_by_its_own_file_and_the_old_key_ends(office: Office) -> None:
    box, laptop, branch = office.zurich, office.laptop, office.branch_host
    old, new = tunnel(box, "office/old")["public_key"], tunnel(box, "office")["public_key"]
    both = GENEVA.replace(
        "public_key: {zurich}", f"public_key: {new}\n        replaces: {{{{public_key: {old}, until: 2099-12-31}}}}"
    ).replace("203.0.113.2:51820", "203.0.113.2:51821")
    with Probe(branch, office.host, OFFICE_HOST) as geneva, Probe(laptop, office.host, OFFICE_HOST) as alice:
        geneva.flowing(packets=50)
        office.apply(office.geneva, both)
        wait_for(lambda: by_key(box)["office/old"] == {}, 45, "geneva uses the new key")
        geneva.flowing(packets=200)
    office.branch_host.log.line(f"geneva moves to the new key: {geneva.report}")
    assert geneva.report.longest_gap_ms < MOVE_MS, str(geneva.report)
    assert alice.report.lost == (), str(alice.report)
    assert "everybody uses the new one" in notices(box)
    with Probe(branch, office.host, OFFICE_HOST) as geneva, Probe(laptop, office.host, OFFICE_HOST) as alice:
        geneva.flowing(packets=50)
        alice.flowing(packets=50)
        said = rotate(box, "--finish", "--confirm", "auto")
        geneva.flowing(packets=100)
        alice.flowing(packets=100)
    assert re.search(r"wg-office ends with its key, 0 peers", said), said
    assert (geneva.report.lost, alice.report.lost) == ((), ()), f"{geneva.report}; {alice.report}"
    assert set(by_key(box)) == {"office"} and "replaces" not in box.run("cat", "/data/appliance/appliance.yaml").stdout
    assert ":51820 " not in box.sh("ss -Hlun") and "wg-office" not in box.run("ip", "-br", "link").stdout
    in_order(box)


def test_going_back_finds_the_key_that_it_had(office: Office) -> None:
    box, old = office.zurich, office.keys["zurich"].public
    number = status(box)["generation"]
    box.run("appliance", "rollback", str(number - 1))
    assert tunnel(box, "office/old")["public_key"] == old
    office.laptop.ping(OFFICE_HOST)
    box.run("appliance", "rollback")
    assert set(by_key(box)) == {"office"}


def test_in_a_pair_either_box_answers_to_both_keys(duo: Duo) -> None:
    """The backup has the new key before it is needed; after a takeover each peer goes on with the key that it uses."""
    alpha, bravo = duo.alpha, duo.bravo
    text = alpha.run("appliance", "history", str(status(alpha)["generation"])).stdout
    alpha.put("/data/appliance/appliance.yaml", text, 0o600)
    with Probe(duo.laptop, duo.host, HOST) as laptop, Probe(duo.branch, duo.host, HOST) as branch:
        laptop.flowing(packets=50)
        rotate(alpha)
        laptop.flowing(packets=100)
        branch.flowing(packets=100)
    assert (laptop.report.lost, branch.report.lost) == ((), ()), f"{laptop.report}; {branch.report}"
    keys = [box.run("cat", "/data/appliance/keys/wg-office.2.pub").stdout for box in (alpha, bravo)]
    assert keys[0] == keys[1] == tunnel(bravo, "office")["public_key"] + "\n"
    conf = PEER.format(
        private=duo.keys["laptop"].private,
        address=PAIR_LAPTOP,
        office=keys[0].strip(),
        more="PersistentKeepalive = 25",
    ).replace("51820", "51821")
    new_file(duo.laptop, conf, "wg0")
    duo.laptop.ping(HOST, timeout=10)
    wait_for(lambda: by_key(alpha)["office"] == {"office.laptop": "up"}, 10, "the laptop uses the new key")
    wait_for(lambda: (status(bravo)["pair"] or {}).get("not_ready") == [], 30, "bravo could take over")
    with Probe(duo.host, duo.laptop, PAIR_LAPTOP) as laptop, Probe(duo.branch, duo.host, HOST) as branch:
        laptop.flowing(packets=50)
        branch.flowing(packets=50)
        hand_over(alpha, "bravo")
        duo.settled(bravo)
        laptop.flowing(packets=200)
        branch.flowing(packets=200)
    duo.host.log.line(f"a handover half way: to the laptop {laptop.report}; from the branch {branch.report}")
    assert max(laptop.report.longest_gap_ms, branch.report.longest_gap_ms) < MOVE_MS
    duo.phone.ping(HOST, timeout=10)
    used = {"office": {"office.laptop": "up"}, "office/old": {"office.branch": "up", "office.phone": "up"}}
    wait_for(lambda: by_key(bravo) == used, 10, "the phone uses the old key, as the branch does")
