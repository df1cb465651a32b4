"""One configuration for both boxes: applied on one it is tried on both, and who was away catches up.

The drawing stands in tests/labs/pair.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Box, Lab, Probe, wait_for
from tests.labs.faults.pair import filtered
from tests.labs.office import status
from tests.labs.pair import HOST, LAPTOP, Duo, pair
from tests.labs.signers import Signers

RULE = "  masquerade: [wan]"
ALLOWED = "    - {{from: office.branch, to: wan, services: [{}]}}\n" + RULE
TUNNEL = "  guests: {listen_port: 51999, addresses: [10.99.0.1/24], peers: {}}\nfirewall:"


@pytest.fixture(scope="module")
def duo() -> Iterator[Duo]:
    with Lab("pair-in-step", __doc__ or "") as lab:
        duo = Duo(lab).build().boot()
        duo.settled(duo.alpha, 40)
        duo.laptop.ping(HOST, timeout=30)
        yield duo


def generation(box: Box) -> int:
    return int(status(box).get("generation") or 0)


def in_step(duo: Duo) -> bool:
    """Both say so, nothing is on trial, and both have the same generation."""
    found = [status(box) for box in (duo.alpha, duo.bravo)]
    return (
        all(each["trial"] is None and ((each.get("pair") or {}).get("partner") or {}).get("in_step") for each in found)
        and found[0]["generation"] == found[1]["generation"]
    )


@pytest.fixture(autouse=True)
def together(duo: Duo) -> None:
    if status(duo.alpha)["trial"]:  # of a test that failed
        duo.alpha.run("appliance", "rollback", check=False)
    wait_for(lambda: in_step(duo), 40, "the pair is in step", 0.2)


def text(duo: Duo) -> str:
    return duo.alpha.run("appliance", "history", str(generation(duo.alpha))).stdout


def apply(box: Box, file: str, *how: str, check: bool = True) -> str:
    box.put("/tmp/office.yaml", file)
    done = box.run("appliance", "apply", *how, "/tmp/office.yaml", check=check)
    return done.stdout + done.stderr


@pytest.mark.parametrize("where", ["alpha", "bravo"])
def test_applied_on_one_it_runs_on_both(duo: Duo, where: str) -> None:
    """On the master or on the backup; confirmed on the other one; nobody's traffic notices."""
    here, other = (duo.alpha, duo.bravo) if where == "alpha" else (duo.bravo, duo.alpha)
    before, file = generation(here), text(duo)
    with Probe(duo.laptop, duo.host, HOST) as inward, Probe(duo.host, duo.laptop, LAPTOP) as outward:
        inward.flowing(timeout=30, packets=100)
        said = apply(here, file.replace(RULE, ALLOWED.format("https" if where == "alpha" else "ssh")))
        assert "on trial, on both boxes" in said
        assert all(status(box)["trial"]["generation"] == before + 1 for box in (here, other))
        # Which came first, each box's own journal says.
        applied = "journalctl -u appliance -o short-unix | grep ': applied' | tail -n 1"
        stamps = {box.name: float(box.sh(applied).split()[0]) for box in (duo.alpha, duo.bravo)}
        assert stamps["bravo"] < stamps["alpha"]
        assert "on both boxes; without `appliance confirm`" in " ".join(
            here.run("appliance", "status", check=False).stdout.split()
        )
        other.run("appliance", "confirm")
        inward.flowing(packets=100)
        outward.flowing(packets=100)
    wait_for(lambda: in_step(duo), 10, "the pair is in step")
    assert generation(here) == generation(other) == before + 1
    shown = here.run("appliance", "status", check=False).stdout
    assert f"generation {before + 1}" in shown and ", in step" in shown
    print(shown)
    print(f"applied on {where}: {inward.report}; {outward.report}")
    assert inward.report.lost == () and outward.report.lost == ()


def test_a_colleague_is_known_to_both(duo: Duo) -> None:
    """The preshared key travels with the trial; and the other box's older file cannot take the colleague away again."""
    before, file, key = generation(duo.alpha), text(duo), "/data/appliance/secrets/psk-bob"
    for box in (duo.alpha, duo.bravo):
        box.put("/data/appliance/appliance.yaml", file, 0o600)
    said = duo.alpha.run("appliance", "peer", "add", "bob", "--allow", "lan", "--conf", "/data/bob.conf").stdout
    assert "on trial, on both boxes" in said
    duo.alpha.run("appliance", "confirm")
    wait_for(lambda: in_step(duo), 20, "both know bob")
    assert generation(duo.bravo) == before + 1
    assert duo.bravo.run("cat", key).stdout == duo.alpha.run("cat", key).stdout
    assert duo.bravo.run("stat", "-c", "%a", key).stdout == "600\n"
    names = [peer["name"] for tunnel in status(duo.bravo)["tunnels"] for peer in tunnel["peers"]]
    assert "office.bob" in names
    older = duo.bravo.run("appliance", "peer", "add", "carla", "--conf", "/data/carla.conf", check=False)
    assert older.returncode == 1 and "is older than what runs here" in older.stderr
    duo.alpha.run("appliance", "peer", "remove", "bob", "--yes")
    duo.alpha.run("appliance", "confirm")


def test_a_bundle_is_for_both_and_no_box_forgets_its_serial(duo: Duo, tmp_path: Path) -> None:
    """Taken by the backup, tried on both; the master then refuses an older one that it never saw itself."""
    signers = Signers(tmp_path)
    apply(duo.alpha, text(duo) + signers.trust)
    duo.alpha.run("appliance", "confirm")
    wait_for(lambda: in_step(duo), 20, "both trust")
    before, file = generation(duo.alpha), text(duo)
    duo.laptop.ping(HOST, timeout=15)
    older = signers.bundle(file)
    newer = signers.bundle(file.replace(RULE, ALLOWED.format("smtp")))
    with Probe(duo.laptop, duo.host, HOST) as probe:
        probe.flowing(timeout=30, packets=100)
        duo.bravo.put("/tmp/it.bundle", newer.decode())
        print(duo.bravo.run("appliance", "bundle", "apply", "/tmp/it.bundle", timeout=120).stdout)
        probe.flowing(packets=100)
    assert probe.report.lost == (), str(probe.report)
    wait_for(lambda: in_step(duo), 10, "the pair is in step")
    assert generation(duo.alpha) == generation(duo.bravo) == before + 1
    for box in (duo.alpha, duo.bravo):
        box.put("/tmp/it.bundle", older.decode())
        done = box.run("appliance", "bundle", "apply", "/tmp/it.bundle", check=False)
        assert "this site has seen 2 already" in done.stderr, done.stderr
    assert generation(duo.alpha) == before + 1


def test_refused_by_one_it_runs_on_none(duo: Duo) -> None:
    """bravo has no such card."""
    before, file = generation(duo.alpha), text(duo)
    head, tail = file.split("bravo:", 1)
    said = apply(duo.alpha, head + "bravo:" + tail.replace("enp2s0", "enp9s0", 1), check=False)
    print(said)
    assert "bravo: boxes.bravo.interfaces.lan.device: enp9s0 does not exist on this box" in said
    assert all(status(box)["trial"] is None and generation(box) == before for box in (duo.alpha, duo.bravo))


def test_not_confirmed_it_goes_back_on_both(duo: Duo) -> None:
    before, file = generation(duo.alpha), text(duo)
    apply(duo.alpha, file.replace(RULE, ALLOWED.format("imap")), "--confirm-within", "5s")
    assert status(duo.bravo)["trial"]
    wait_for(lambda: in_step(duo), 40, "both are back")
    assert generation(duo.alpha) == generation(duo.bravo) == before


def test_confirmed_by_the_boxes_themselves(duo: Duo) -> None:
    duo.laptop.ping(HOST, timeout=15)
    said = apply(duo.bravo, text(duo).replace(RULE, ALLOWED.format("dns")), "--confirm", "auto")
    assert "applied and confirmed" in said


def test_who_was_away_catches_up(duo: Duo) -> None:
    """With what the two share, and nothing of what is its own."""
    own = duo.bravo.sh("cat /data/appliance/box /data/appliance/keys/wg-pair.key /data/appliance/keys/pair-partner.pub")
    before, file = generation(duo.alpha), text(duo)
    duo.bravo.power_cut()
    wait_for(lambda: not pair(duo.alpha)["partner"]["alive"], 10, "alpha knows that it is alone")
    said = apply(duo.alpha, file.replace("firewall:", TUNNEL))
    assert "bravo is not heard; it catches up when it is back" in said
    duo.alpha.run("appliance", "confirm")
    duo.bravo.boot()
    wait_for(lambda: generation(duo.bravo) == before + 1, 60, "bravo has caught up", 0.2)
    wait_for(lambda: in_step(duo), 20, "the pair is in step")
    key = "cat /data/appliance/keys/wg-guests.key"
    assert duo.alpha.sh(key).strip() == duo.bravo.sh(key).strip() != ""
    assert own == duo.bravo.sh(
        "cat /data/appliance/box /data/appliance/keys/wg-pair.key /data/appliance/keys/pair-partner.pub"
    )


def test_changed_apart_the_file_that_is_applied_again_is_for_both(duo: Duo) -> None:
    """Neither is ahead of the other; whoever applies what runs on his box, has it run on both."""
    file = text(duo)
    with filtered(duo.alpha, duo.bravo, rule="udp dport 51819 drop"):
        alone = lambda: not any(pair(box)["partner"]["alive"] for box in (duo.alpha, duo.bravo))  # noqa: E731
        wait_for(alone, 15, "neither hears the other")
        for box, service in ((duo.alpha, "ldap"), (duo.bravo, "imaps")):
            apply(box, file.replace(RULE, ALLOWED.format(service)), "--confirm", "auto")
    wait_for(lambda: pair(duo.alpha)["partner"]["alive"], 15, "they hear each other again")
    assert not in_step(duo) and generation(duo.alpha) == generation(duo.bravo)
    mine = text(duo)
    assert "on trial, on both boxes" in apply(duo.alpha, mine)
    duo.bravo.run("appliance", "confirm")
    wait_for(lambda: in_step(duo), 20, "the pair is in step")
    assert duo.bravo.run("appliance", "history", str(generation(duo.bravo))).stdout == mine
    # Where all is in step there is nothing to do.
    assert "on trial" not in apply(duo.bravo, mine)


def test_the_master_dies_during_a_trial(duo: Duo) -> None:
    """What was not confirmed is gone on both, and the office goes on."""
    before, file = generation(duo.alpha), text(duo)
    master = duo.settled()
    apply(master, file.replace(RULE, ALLOWED.format("ntp")), "--confirm-within", "10s")
    master.power_cut()
    duo.host.ping(LAPTOP, timeout=20)
    master.boot()
    wait_for(lambda: in_step(duo), 60, "the pair is in step", 0.2)
    assert generation(duo.alpha) == generation(duo.bravo) == before
