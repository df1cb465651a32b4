"""A change runs on trial: confirmed, or gone again, whatever happens to the box and its supervisor meanwhile.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Box, Lab, genkey, wait_for
from tests.labs.office import BRANCH_HOST, OFFICE_HOST, ZURICH, Office, in_order, status

CHANGED = ZURICH.replace("192.168.10.1/24", "[192.168.10.1/24, 192.168.11.1/24]")
FILE = "/tmp/office.yaml"


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Office:
    office = Office(shared_lab).build().go_online()
    office.host.ping(BRANCH_HOST, timeout=15)
    return office


@pytest.fixture(autouse=True)
def untried(office: Office) -> Iterator[None]:
    """No test leaves a trial to the next, nor another configuration than the first."""
    yield
    zurich = office.zurich
    if not zurich.running:
        zurich.boot()
    if status(zurich)["trial"]:
        zurich.run("appliance", "rollback")
    office.apply(zurich)
    in_order(zurich, 30)
    office.host.ping(BRANCH_HOST, timeout=15)


def tried(office: Office, text: str = CHANGED, *how: str) -> str:
    """Applies without confirming; what was said."""
    office.zurich.put(FILE, office.yaml("zurich", text))
    done = office.zurich.run("appliance", "apply", *how, FILE, check=False)
    return done.stdout + done.stderr


def second_address(box: Box) -> bool:
    return "192.168.11.1" in box.sh("ip -o address show enp2s0")


def last(box: Box) -> dict[str, Any]:
    """How the last trial ended."""
    found: list[dict[str, Any]] = json.loads(box.run("appliance", "history", "--json").stdout)
    return found[-1]


def test_not_confirmed_in_time(office: Office) -> None:
    zurich = office.zurich
    before = status(zurich)["generation"]
    said = tried(office, CHANGED, "--confirm-within", "5s")
    assert "without `appliance confirm` from a new session" in said
    assert second_address(zurich)
    assert status(zurich)["trial"]["seconds_left"] <= 5
    wait_for(lambda: not second_address(zurich), 20, "the file before runs again")
    wait_for(lambda: status(zurich)["trial"] is None, 10, "the trial is over")
    assert status(zurich)["generation"] == before
    ending = last(zurich)
    assert (ending["outcome"], ending["why"]) == ("rolled back", "not confirmed within 5 s")
    print(zurich.run("appliance", "history").stdout)


def test_confirmed_from_a_new_session_only(office: Office) -> None:
    """The shell in which it was applied is older than the change."""
    zurich = office.zurich
    zurich.put(FILE, office.yaml("zurich", CHANGED))
    same = zurich.run(
        "setsid", "--wait", "sh", "-c", f"appliance apply {FILE}; sleep 0.1; appliance confirm", check=False
    )
    assert "this session is older than the change" in same.stderr
    assert status(zurich)["trial"]
    number = status(zurich)["trial"]["generation"]
    zurich.run("setsid", "--wait", "appliance", "confirm")
    assert status(zurich)["trial"] is None and status(zurich)["generation"] == number
    zurich.reboot()
    assert second_address(zurich)
    assert zurich.run("appliance", "history", str(number)).stdout == office.yaml("zurich", CHANGED)


def test_a_power_cut_is_a_rollback(office: Office) -> None:
    zurich = office.zurich
    tried(office, CHANGED, "--confirm-within", "10m")
    assert second_address(zurich)
    zurich.power_cut()
    zurich.boot()
    in_order(zurich, 15)
    assert not second_address(zurich)
    assert last(zurich)["why"] == "the box was started again meanwhile"
    assert status(zurich)["last_rollback"]["why"] == "the box was started again meanwhile"


def test_a_supervisor_that_dies_goes_on_with_the_trial(office: Office) -> None:
    """And its deadline, which systemd holds, still comes."""
    zurich = office.zurich
    tried(office, CHANGED, "--confirm-within", "8s")
    zurich.sh("kill -9 $(systemctl show --property=MainPID --value appliance)")
    wait_for(lambda: zurich.run("appliance", "status", check=False).returncode == 0, 10, "a new supervisor runs")
    assert status(zurich)["trial"] and second_address(zurich)
    wait_for(lambda: not second_address(zurich), 20, "the file before runs again")
    wait_for(lambda: last(zurich)["outcome"] == "rolled back", 10, "it is in the history")


def test_a_supervisor_that_hangs_cannot_stop_the_deadline(office: Office) -> None:
    zurich = office.zurich
    tried(office, CHANGED, "--confirm-within", "5s")
    zurich.sh("kill -STOP $(systemctl show --property=MainPID --value appliance)")
    wait_for(lambda: not second_address(zurich), 90, "the file before runs again", 0.5)
    wait_for(lambda: last(zurich)["outcome"] == "rolled back", 20, "it is in the history")


def test_the_box_confirms_when_all_works(office: Office) -> None:
    office.laptop.ping(OFFICE_HOST, timeout=15)
    said = tried(office, CHANGED, "--confirm", "auto")
    assert "applied and confirmed" in said
    assert status(office.zurich)["trial"] is None and last(office.zurich)["outcome"] == "confirmed"


def test_the_box_goes_back_when_a_peer_is_missing(office: Office) -> None:
    """geneva's key is mistyped, by somebody who is not there."""
    office.host.ping(BRANCH_HOST, timeout=15)
    before = status(office.zurich)["generation"]
    wrong = ZURICH.replace("{geneva}", genkey().public)
    said = tried(office, wrong, "--confirm", "auto")
    print(said)
    assert "not seen any more: office.geneva exchanges data; " in said and f"generation {before} runs again" in said
    office.host.ping(BRANCH_HOST, timeout=15)


def test_one_trial_at_a_time(office: Office) -> None:
    tried(office)
    assert "is on trial" in tried(office, ZURICH)
    assert "runs again" in office.zurich.run("appliance", "rollback").stdout
    assert not second_address(office.zurich)


def test_back_to_a_generation(office: Office) -> None:
    zurich = office.zurich
    first = status(zurich)["generation"]
    office.apply(zurich, CHANGED)
    zurich.run("appliance", "rollback")
    zurich.run("appliance", "confirm")
    assert not second_address(zurich)
    assert zurich.run("appliance", "history", str(first)).stdout == office.yaml("zurich")
    gone = zurich.run("appliance", "rollback", "999", check=False)
    assert gone.returncode == 1 and "generation 999 is not kept here" in gone.stderr


def test_a_flipped_bit_on_the_disk(office: Office) -> None:
    """The generation before is used, and that is said."""
    zurich = office.zurich
    office.apply(zurich, CHANGED)
    number = status(zurich)["generation"]
    zurich.power_cut()
    path = zurich.data / f"appliance/generations/{number:06}"
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 4
    path.write_bytes(raw)
    zurich.boot()
    assert not second_address(zurich)
    said = status(zurich)
    assert (
        f"generation {number} is damaged (its checksum does not fit); generation {number - 1} is used"
        in said["warnings"]
    )
    assert said["generation"] == number - 1
