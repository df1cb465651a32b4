"""The main job: an office, its branch and a colleague at home, through one box each and one file each.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

from tests.lab import Lab, iperf3, transfer
from tests.labs.office import ALICE, BRANCH_HOST, OFFICE_HOST, Office, peer_state


def test_an_office_goes_online(lab: Lab) -> None:
    office = Office(lab).build().go_online()
    office.laptop.ping(OFFICE_HOST)
    office.host.ping(BRANCH_HOST)
    office.branch_host.ping(OFFICE_HOST)
    assert transfer(office.host, office.branch_host, BRANCH_HOST) > 0
    assert transfer(office.laptop, office.host, OFFICE_HOST) > 0
    assert iperf3(office.host, office.internet, "203.0.113.1", 1) > 0
    assert peer_state(office.zurich, "office.geneva")["state"] == "up"
    assert not office.host.pings(ALICE), "nobody allowed the office to call the laptop"
    assert "nothing to do" in office.apply(office.zurich)
