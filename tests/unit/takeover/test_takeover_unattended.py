"""A supervisor that does not come back: who takes the role of its box, and who does not (names.UNHEARD, UNATTENDED)."""

from __future__ import annotations

from typing import Any

import pytest
from takeover_steps import Bench, only
from takeover_world import World, settled

from appliance.core.pair.names import NOT_READY, READY, UNFIT, UNHEARD
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e

BUT_FOR_ITS_WORD = a.SetReady(UNHEARD)


def standby(preferred: bool = False, **more: Any) -> Bench:
    """It has everything, and hears its partner."""
    bench = Bench(preferred=preferred)
    bench.booted()
    bench.hear("master", 4, **more)
    bench.tell(e.ConnectionsReceived(bench.now))
    return bench


@pytest.mark.parametrize("preferred", [False, True])
def test_a_standby_in_step_lacks_only_the_word_of_a_master_that_fell_silent(preferred: bool) -> None:
    bench = standby(preferred)
    assert bench.machine.report().ready
    assert only(a.SetReady, bench.later(2.0)) == [BUT_FOR_ITS_WORD]
    assert bench.machine.report().not_ready == ("it does not hear the other box",)
    assert not bench.machine.report().ready, "nobody is to hand it the role"
    assert only(a.SetReady, bench.hear("master", 4)) == [a.SetReady(NOT_READY)]
    assert only(a.SetReady, bench.tell(e.ConnectionsReceived(bench.now))) == [a.SetReady(READY)]


@pytest.mark.parametrize("more", [{"digest": "another"}, {"handing_over": True}], ids=["another file", "handing over"])
def test_who_was_not_in_step_waits(more: dict[str, Any]) -> None:
    bench = standby(**more)
    assert BUT_FOR_ITS_WORD not in only(a.SetReady, bench.later(5.0))


def test_who_never_heard_its_partner_waits() -> None:
    bench = Bench()
    bench.booted()
    assert BUT_FOR_ITS_WORD not in only(a.SetReady, bench.later(5.0))


def test_who_heard_a_standby_last_waits() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.vrrp("BACKUP")
    assert BUT_FOR_ITS_WORD not in only(a.SetReady, bench.later(5.0))


def test_who_gave_the_role_away_takes_it_from_a_box_that_fell_silent() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.tell(e.HandoverAsked(bench.now))
    bench.vrrp("BACKUP")
    bench.hear("master", 2, held=2)
    bench.tell(e.ConnectionsReceived(bench.now))
    assert bench.machine.report().not_ready == ("it gave the role away on request",)
    assert only(a.SetReady, bench.later(2.0)) == [BUT_FOR_ITS_WORD]
    assert only(a.SetReady, bench.vrrp("MASTER")) == [a.SetReady(READY)]


def away(world: World, box: str, seconds: float) -> None:
    (world.alpha if box == "alpha" else world.beta).kill_supervisor(seconds)


def test_the_role_of_a_box_without_a_supervisor_moves_and_returns() -> None:
    world = settled()
    away(world, "alpha", 20.0)
    world.run(9.0)
    assert world.master() is world.alpha and world.beta.fit_for == UNHEARD
    world.run(4.0)
    assert world.master() is world.beta
    assert (world.alpha.fit_for, world.beta.fit_for) == (UNFIT, READY)
    world.run(20.0)
    assert world.master() is world.alpha
    assert world.beta.report().partner and not world.alpha.report().not_ready


def test_it_moves_to_the_preferred_box_as_well() -> None:
    world = settled()
    world.alpha.notify(e.HandoverAsked(world.now))
    world.run(8.0)
    assert world.master() is world.beta
    away(world, "beta", 30.0)
    world.run(13.0)
    assert world.master() is world.alpha


@pytest.mark.parametrize("first", ["alpha", "beta"])
@pytest.mark.parametrize("pause", [0.0, 3.0, 7.0])
def test_of_two_without_supervisors_the_master_stays(first: str, pause: float) -> None:
    """The other one is muted, and nobody would unmute it."""
    world = settled()
    away(world, first, 40.0)
    world.run(pause)
    away(world, "beta" if first == "alpha" else "alpha", 40.0)
    world.run(30.0, lambda: _alpha_serves(world))


def test_a_preferred_box_whose_tunnels_are_muted_gives_way_to_one_that_boots() -> None:
    world = settled()
    world.alpha.notify(e.HandoverAsked(world.now))
    world.run(8.0)
    away(world, "alpha", 60.0)
    world.run(1.0)
    world.beta.power_cut()
    world.run(2.0)
    assert world.alpha.addresses, "the office keeps its router"
    world.beta.boot()
    world.run(5.0)
    assert world.master() is world.beta


def test_nothing_moves_where_only_the_pair_network_is_down() -> None:
    world = settled()
    world.set_pair(False)
    world.run(30.0, lambda: _alpha_serves(world))


def test_nothing_moves_to_a_box_without_an_uplink() -> None:
    world = settled()
    world.beta.gateway = False
    world.run(5.0)
    away(world, "alpha", 20.0)
    world.run(15.0, lambda: _alpha_serves(world))


def test_a_keepalived_that_dies_without_a_supervisor_runs_again() -> None:
    """Its addresses would stay on both boxes."""
    world = settled()
    away(world, "alpha", 20.0)
    world.run(5.0)
    world.alpha.kill_keepalived()
    world.run(5.0)
    assert world.master() is world.beta and world.alpha.keepalived and not world.alpha.addresses


def test_a_box_that_loses_its_supervisor_again_and_again_stays_backup() -> None:
    world = settled()
    for _ in range(3):
        away(world, "alpha", 13.0)
        world.run(28.0)
    assert world.master() is world.beta
    assert "it lost the role 3 times in 10 minutes" in " ".join(world.alpha.report().not_ready)


def _alpha_serves(world: World) -> None:
    assert world.alpha.addresses and not world.alpha.muted
    assert not world.beta.addresses
