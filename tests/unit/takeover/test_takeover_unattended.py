"""A master without a supervisor gives its role away (appliance-unattended.service): who takes it, and who does not."""

from __future__ import annotations

import pytest
from takeover_steps import Bench, only

from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e


def standby(preferred: bool) -> Bench:
    """It has everything, and hears its partner."""
    bench = Bench(preferred=preferred)
    bench.booted()
    bench.hear("master", 4)
    bench.tell(e.ConnectionsReceived(bench.now))
    assert bench.machine.report().ready
    return bench


@pytest.mark.parametrize("preferred", [False, True])
def test_a_standby_takes_the_role_of_a_master_that_fell_silent(preferred: bool) -> None:
    """The preferred one need not be ready for that, and must not be where only the pair's network is down."""
    bench = standby(preferred)
    assert only(a.SetReady, bench.later(2.0)) == [a.SetReady(False)]
    assert only(a.SetReady, bench.later(4.0)) == ([] if preferred else [a.SetReady(True)])
    assert bench.machine.report().not_ready == ("it does not hear the other box",), "status says it all the same"


def test_one_that_never_heard_its_partner_waits() -> None:
    bench = Bench()
    bench.booted()
    bench.vrrp("BACKUP")
    bench.later(10.0)
    assert not bench.machine.report().ready


def test_who_gave_the_role_away_takes_it_from_a_box_that_fell_silent() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.tell(e.HandoverAsked(bench.now))
    bench.vrrp("BACKUP")
    bench.hear("master", 2, held=2)
    bench.tell(e.ConnectionsReceived(bench.now))
    assert bench.machine.report().not_ready == ("it gave the role away on request",)
    assert only(a.SetReady, bench.later(6.0)) == [a.SetReady(True)]
