"""A master that lost a link steps down at once where that helps, and only there."""

from __future__ import annotations

from takeover_steps import Bench, only
from takeover_world import World, settled

from appliance.core.pair.names import NEVER, NOT_READY, READY
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e

DOUBT = 0.03


def lose(bench: Bench, *devices: str, heard: bool = True) -> tuple[a.Action, ...]:
    return bench.tell(e.LinksRead(devices, heard, bench.now))


def serving(**partner: object) -> Bench:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1, **partner)
    return bench


def test_a_master_that_lost_a_link_asks_and_steps_down() -> None:
    bench = serving()
    done = lose(bench, "enp1s0")
    assert only(a.TellPartner, done)[0].hello.ask
    assert only(a.TellPartner, done)[0].hello.lost_links == 1
    assert not only(a.StepDown, done)
    assert only(a.StepDown, bench.later(DOUBT + 0.001))
    done = bench.vrrp("FAULT")
    assert isinstance(done[0], a.MuteTunnels)
    assert only(a.SetReady, done), "in FAULT it would serve nobody, whatever happens to the partner"
    assert bench.machine.report().why == "no link on enp1s0"


def test_where_keepalived_does_not_follow_it_is_told_anew() -> None:
    bench = serving()
    lose(bench, "enp1s0")
    assert not only(a.SetReady, bench.later(0.3))
    assert only(a.SetReady, bench.later(0.1)) == [a.SetReady(READY)]
    assert not only(a.StepDown, bench.later(5.0))


def test_a_master_puts_routes_back_when_a_link_returns() -> None:
    bench = serving()
    assert not only(a.KeepVirtualRoutes, lose(bench, "enp1s0", "enp2s0"))
    assert only(a.KeepVirtualRoutes, lose(bench, "enp2s0", "enp3s0"))
    bench.vrrp("BACKUP")
    assert not only(a.KeepVirtualRoutes, lose(bench))


def test_a_switch_that_dies_moves_nothing() -> None:
    """The partner answers that its link is gone, too."""
    bench = serving()
    lose(bench, "enp1s0")
    bench.hear("backup", 1, lost_links=1)
    assert not only(a.StepDown, bench.later(1.0))


def test_a_link_that_is_back_at_once_moves_nothing() -> None:
    bench = serving()
    lose(bench, "enp1s0")
    lose(bench)
    assert not only(a.StepDown, bench.later(1.0))


def test_a_partner_that_could_not_serve_is_no_reason() -> None:
    bench = serving(ready=False)
    lose(bench, "enp1s0")
    assert not only(a.StepDown, bench.later(0.9))


def test_a_partner_that_is_gone_is_no_reason() -> None:
    bench = serving()
    bench.later(1.5)
    lose(bench, "enp1s0")
    assert not only(a.StepDown, bench.later(1.0))


def test_where_the_last_advert_is_not_heard_everywhere_nothing_is_gained() -> None:
    bench = serving()
    lose(bench, "enp1s0", heard=False)
    assert not only(a.StepDown, bench.later(1.0))


def test_a_standby_has_no_role_to_give() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 1)
    lose(bench, "enp1s0")
    assert not only(a.StepDown, bench.later(1.0))


def test_a_second_link_is_worth_it_where_the_partner_lacks_one() -> None:
    bench = serving(lost_links=1)
    lose(bench, "enp1s0")
    assert not only(a.StepDown, bench.later(0.1))
    lose(bench, "enp1s0", "enp3s0")
    assert only(a.StepDown, bench.later(DOUBT + 0.001))


def test_a_box_that_cannot_hear_its_partner_is_in_fault_until_it_has_listened() -> None:
    """Elected by its own silence, it would speak at the instant in which its link comes up."""
    bench = Bench()
    bench.tell(e.LinksRead(("enp1s0", "enp2s0"), False, bench.now, deaf=True))
    assert only(a.SetReady, bench.start())[-1] == a.SetReady(NEVER)
    assert only(a.StartKeepalived, bench.later(2.0))
    assert not only(a.SetReady, bench.later(5.0))
    assert not only(a.SetReady, bench.tell(e.LinksRead((), True, bench.now)))
    assert "no link" in bench.machine.report().not_ready[0]
    assert not only(a.SetReady, bench.later(1.1))
    assert only(a.SetReady, bench.later(0.2)) == [a.SetReady(NOT_READY)], "alone, it serves all the same"


def test_where_the_partner_speaks_nothing_is_waited_for() -> None:
    bench = Bench()
    bench.booted()
    bench.tell(e.LinksRead(("enp1s0", "enp2s0"), False, bench.now, deaf=True))
    done = (*bench.tell(e.LinksRead((), True, bench.now)), *bench.later(0.01))
    assert not only(a.SetReady, done)
    assert only(a.SetReady, bench.hear("master", 1)) == [a.SetReady(NOT_READY)]


def test_what_was_heard_before_does_not_count() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 1)
    bench.tell(e.LinksRead(("enp1s0", "enp2s0"), False, bench.now, deaf=True))
    bench.later(0.3)
    done = (*bench.tell(e.LinksRead((), True, bench.now)), *bench.later(1.1))
    assert not only(a.SetReady, done), "it was alive a moment ago, and may be master now"
    assert only(a.SetReady, bench.later(0.2))


def test_a_switch_that_blinks_costs_a_box_alone_no_more_than_that() -> None:
    bench = Bench()
    bench.master()
    done = (
        *bench.tell(e.LinksRead(("enp1s0", "enp2s0"), False, bench.now, deaf=True)),
        *bench.later(0.1),
        *bench.tell(e.LinksRead((), True, bench.now)),
        *bench.later(2.0),
    )
    assert not only(a.SetReady, done)


def test_a_master_whose_links_are_all_gone_lets_the_role_go() -> None:
    bench = serving()
    assert only(a.SetReady, bench.tell(e.LinksRead(("enp1s0", "enp2s0"), False, bench.now, deaf=True))) == [
        a.SetReady(NEVER)
    ]
    assert isinstance(bench.vrrp("FAULT")[0], a.MuteTunnels)


def took(world: World) -> float:
    """Seconds until the other box serves."""
    began = world.now
    while world.beta.muted:
        world.run(0.01)
        assert world.now < began + 5
    return round(world.now - began, 2)


def test_no_advert_is_waited_for() -> None:
    world = settled()
    world.alpha.plug(False)
    assert took(world) <= 0.15, "three adverts are 0.3 s"
    world.run(2.0)
    assert world.alpha.muted and not world.alpha.never
    world.alpha.plug(True)
    world.run(2.0)
    assert world.master() is world.beta, "the link was lost a moment ago"
    world.run(2.0)
    assert world.master() is world.alpha, "it is preferred, and has its link again"


def test_a_link_that_flaps_moves_the_role_once() -> None:
    world = settled()
    for _ in range(4):
        world.alpha.plug(False)
        world.run(0.5)
        assert world.master() is world.beta
        world.alpha.plug(True)
        world.run(0.5)
        assert world.master() is world.beta
    world.run(2.0)
    assert world.master() is world.alpha, "five seconds after it lost the role, not after the last time"


def test_a_partner_that_dies_at_the_same_time_costs_no_more_than_an_election() -> None:
    """It is still known as well, so the role is given to nobody; and taken back."""
    world = settled()
    world.alpha.plug(False)
    world.beta.power_cut()
    world.run(1.0)
    assert world.master() is world.alpha
