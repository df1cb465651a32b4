"""A rule that leaves the file takes its connections along; those of other rules go on.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

from tests.lab import Lab, Probe, wait_for
from tests.labs.office import BRANCH_HOST, OFFICE_HOST, ZURICH, Office


def test_revoked_connections_end_at_once(lab: Lab) -> None:
    office = Office(lab).build().go_online()
    office.branch_host.ping(OFFICE_HOST, timeout=15)
    office.laptop.ping(OFFICE_HOST, timeout=15)
    with (
        Probe(office.laptop, office.host, OFFICE_HOST, 0.005) as revoked,
        Probe(office.branch_host, office.host, OFFICE_HOST, 0.005) as kept,
        Probe(office.host, office.branch_host, BRANCH_HOST, 0.005) as other,
    ):
        for probe in (revoked, kept, other):
            probe.flowing(packets=50)
        said = office.apply(office.zurich, ZURICH.replace("    - {{from: office.alice, to: lan}}\n", ""))
        assert "end the connections 10.20.0.10/32 → 192.168.10.0/24" in said
        answered = revoked.report.received
        kept.flowing(packets=100)
        other.flowing(packets=100)
        assert revoked.report.received - answered < 60, "a moment's reports may still be under way"
        still = revoked.report.received
        kept.flowing(packets=100)
        assert revoked.report.received == still, "nothing of the revoked connection passes any more"
        office.apply(office.zurich)
        wait_for(lambda: revoked.report.received > still, 10, "allowed again, it goes on")
    assert kept.report.lost == () and other.report.lost == (), f"{kept.report}; {other.report}"
