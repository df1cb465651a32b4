"""What is wrong with a pair, in a sentence; and the box goes on serving alone."""

from __future__ import annotations

import pytest
from takeover_steps import Bench, only

from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from appliance.core.takeover.hello import SCHEMA


def notes(bench: Bench) -> str:
    return " ".join(bench.machine.report().notes)


def test_a_partner_of_another_schema_is_not_heard_and_said_so() -> None:
    bench = Bench()
    bench.start()
    bench.tell(e.PartnerForeign(SCHEMA + 1, bench.now))
    bench.later(1.6)
    assert only(a.UnmuteTunnels, bench.vrrp("MASTER"))
    assert "until this box has the newer release" in notes(bench) and "serves alone" in notes(bench)
    bench.tell(e.PartnerForeign(SCHEMA - 1, bench.now))
    assert "until the other box has the newer release" in notes(bench)
    bench.hear()
    assert not notes(bench)


def test_a_strangers_advert_is_said_for_a_minute() -> None:
    bench = Bench()
    bench.master()
    bench.tell(e.StrangerAdvert("lan", "192.168.10.77", 51, bench.now))
    assert notes(bench).startswith("192.168.10.77 on lan sends VRRP with router ID 51, too; write another")
    bench.later(59.0)
    assert "192.168.10.77" in notes(bench)
    bench.later(2.0)
    assert not notes(bench)


def test_two_boxes_that_wait_for_a_master_say_that_neither_is_one() -> None:
    bench = Bench()
    bench.booted()
    said = []
    for _ in range(80):
        bench.later(0.1)
        bench.hear("backup")
        said.append("neither box is master" in notes(bench))
    assert said == sorted(said) and said.count(False) == pytest.approx(51, abs=1)
    bench.hear("master", 3)
    assert not notes(bench)


def elected(bench: Bench, role: str = "yielding", silence: float = 0.1) -> None:
    """VRRP makes it master while the other box is it; when that one has heard of it, it says what it is."""
    bench.hear("master", bench.machine.report().epoch)
    bench.later(0.1)
    bench.vrrp("MASTER")
    bench.later(silence)
    bench.hear(role, bench.machine.report().epoch)
    bench.vrrp("BACKUP")


def test_adverts_that_come_too_late_are_said_after_the_third_election_in_vain() -> None:
    bench = Bench()
    bench.booted()
    for number in range(3):
        assert "advert_seconds" not in notes(bench), number
        elected(bench)
    assert "elected this box 3 times in 10 minutes" in notes(bench) and "failover.advert_seconds" in notes(bench)
    bench.later(601.0)
    assert "advert_seconds" not in notes(bench)


def test_an_ordinary_takeover_is_not_in_vain() -> None:
    """The other box stepped down, or stood still and goes on."""
    for role, silence in (("backup", 0.1), ("yielding", 0.9)):
        bench = Bench()
        bench.booted()
        for _ in range(4):
            elected(bench, role, silence)
        assert "advert_seconds" not in notes(bench)
