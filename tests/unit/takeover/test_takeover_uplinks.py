"""A dead uplink gives way to a living one; two dead ones move nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from takeover_steps import Bench, only
from takeover_world import TIMERS, World, settled
from test_takeover_world import SETTINGS, Watch

from appliance.core.pair.names import NOT_READY, READY
from appliance.core.state import Lease
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from appliance.core.takeover.hello import Living

DETECTED = (TIMERS.uplink_misses + 2) * TIMERS.uplink
"""Three questions unanswered, the last one a period old; and one more, that the other's was answered."""
WAN = frozenset({"wan"})
SILENT = ("the gateway of wan does not answer",)


def answers(bench: Bench, seconds: int, answered: bool, partner: bool | None = None) -> list[a.SetReady]:
    """So many seconds of answers here; and there, None for a partner of which nothing is known."""
    done: list[a.Action] = []
    for _ in range(seconds):
        done += bench.later(TIMERS.uplink)
        done += bench.tell(e.UplinksRead({"wan": answered}, bench.now))
        living = (Living("wan", 0.1),) if partner else ()
        done += bench.hear("backup", 1, uplinks=living) if partner is not None else ()
    return only(a.SetReady, tuple(done))


def test_gateways_are_asked_once_a_second_whatever_the_role() -> None:
    bench = Bench()
    bench.booted()
    for _ in range(2):
        assert len(only(a.AskUplinks, bench.later(10.0))) == pytest.approx(10, abs=1)
        bench.vrrp("MASTER")


def test_a_dead_uplink_gives_way_to_a_living_one() -> None:
    bench = Bench()
    bench.master()
    answers(bench, 2, True, partner=True)
    assert not answers(bench, 2, False, partner=True)
    assert answers(bench, 1, False, partner=True) == [a.SetReady(NOT_READY)]
    assert bench.machine.report().not_ready == SILENT


def test_a_dead_uplink_is_kept_where_the_other_one_is_dead_too_or_the_other_box_not_there() -> None:
    for partner in (False, None):
        bench = Bench()
        bench.master()
        answers(bench, 2, True, partner)
        assert not answers(bench, 60, False, partner)
        assert bench.machine.report().notes[-1:] == SILENT or SILENT[0] in bench.machine.report().notes


def test_an_answer_from_before_the_silence_is_no_reason_to_give_way() -> None:
    bench = Bench()
    bench.master()
    answers(bench, 2, True, partner=True)
    answers(bench, 1, False, partner=True)
    for _ in range(5):
        bench.later(TIMERS.uplink)
        stale = (Living("wan", bench.now),)
        bench.hear("backup", 1, uplinks=stale)
        assert not only(a.SetReady, bench.tell(e.UplinksRead({"wan": False}, bench.now)))


def test_who_has_another_uplink_that_the_other_one_lacks_stays() -> None:
    bench = Bench()
    bench.master()
    for _ in range(6):
        bench.later(TIMERS.uplink)
        bench.hear("backup", 1, uplinks=(Living("wan", 0.1),))
        assert not only(a.SetReady, bench.tell(e.UplinksRead({"wan": False, "lte": True}, bench.now)))


def test_a_standby_with_a_dead_uplink_does_not_ask_for_the_role_until_it_answered_for_a_while() -> None:
    bench = Bench(preferred=True)
    bench.booted()
    bench.hear("master", 4)
    bench.tell(e.ConnectionsReceived(bench.now))

    def reads(answered: bool) -> list[a.SetReady]:
        done: tuple[a.Action, ...] = ()
        for _ in range(2):
            done += bench.later(TIMERS.uplink / 2) + bench.hear("master", 4)
        done += bench.tell(e.UplinksRead({"wan": answered}, bench.now))
        return only(a.SetReady, done)

    # From the first question on, which it may not answer in time: it does not know yet.
    assert [reads(False) for _ in range(3)] == [[a.SetReady(NOT_READY)], [], []]
    assert bench.machine.report().not_ready == SILENT
    until = [reads(True) for _ in range(7)]
    assert until[:5] == [[]] * 5
    assert [each for each in until if each] == [[a.SetReady(READY)]]


def test_what_has_no_gateway_to_ask_counts_for_nothing() -> None:
    bench = Bench()
    bench.master()
    answers(bench, 5, False)
    bench.tell(e.UplinksRead({}, bench.now))
    assert not bench.machine.report().notes


def learned(bench: Bench, seconds: int, answered: bool, **partner: Any) -> list[a.SetReady]:
    """The same of a gateway that a lease names, which the other box cannot ask."""
    return told(bench, seconds, lambda: (e.UplinksRead({"wan": answered}, bench.now, WAN),), partner)


def told(
    bench: Bench, seconds: int, events: Callable[[], tuple[e.Event, ...]], partner: dict[str, Any]
) -> list[a.SetReady]:
    """Each second these events, and a hello of the partner."""
    done: list[a.Action] = []
    for _ in range(seconds):
        done += bench.later(TIMERS.uplink)
        for event in events():
            done += bench.tell(event)
        done += bench.hear(**{"role": "backup", "epoch": 1, **partner})
    return only(a.SetReady, tuple(done))


def test_the_gateway_of_a_lease_is_given_away_on_trust() -> None:
    bench = Bench()
    bench.master()
    learned(bench, 2, True)
    assert not learned(bench, 2, False)
    assert learned(bench, 1, False) == [a.SetReady(NOT_READY)]
    assert bench.machine.report().not_ready == SILENT


def test_and_once_only() -> None:
    """Who gave it away does not want it back as long as the other box is there, for an hour."""
    bench = Bench(preferred=True)
    bench.master()
    learned(bench, 2, True)
    learned(bench, 3, False)
    bench.vrrp("BACKUP")
    tried = "the gateway of wan did not answer when it was master"

    def at_rest(seconds: int) -> None:
        for _ in range(seconds):
            bench.later(0.5)
            bench.hear("master", 2, version=(2, 0), until=(2, 0))

    bench.hear("master", 2, version=(2, 0), until=(2, 0))
    bench.tell(e.ConnectionsReceived(bench.now))
    at_rest(60)
    assert bench.machine.report().not_ready == (tried,)
    bench.now += TIMERS.uplink_tried
    bench.hear("master", 2, version=(2, 0), until=(2, 0))
    assert bench.machine.report().not_ready == ()


def test_a_master_holds_the_lease_whose_gateway_was_silent_at_the_other_box_too() -> None:
    bench = Bench()
    bench.master()
    learned(bench, 2, True)
    assert not learned(bench, 60, False, ready=False)


def test_the_gateway_of_a_lease_that_never_answered_here_is_not_missed() -> None:
    bench = Bench()
    bench.master()
    assert not learned(bench, 60, False)
    assert not bench.machine.report().notes


def test_a_line_that_lived_at_the_other_box_and_is_dead_here_goes_back() -> None:
    """Its cable is in, and the provider's port behind it is dead: whoever has the role by preference must notice."""
    bench = Bench(preferred=True)
    bench.booted()
    bench.hear("master", 4, uplinks=(Living("wan", 0.1),))
    bench.vrrp("MASTER")
    assert not learned(bench, TIMERS.uplink_misses_new - 1, False)
    assert learned(bench, 1, False) == [a.SetReady(NOT_READY)]
    assert bench.machine.report().not_ready == SILENT


def test_a_box_that_returns_does_not_take_the_role_before_it_knows_its_uplink() -> None:
    world = settled()
    world.alpha.gateway = False
    world.run(DETECTED + 1.0)
    assert world.master() is world.beta
    for happens in (lambda: world.alpha.kill_supervisor(0.3), world.alpha.power_cut):
        happens()
        world.run(1.0)
        world.alpha.boot()
        before = roles(world)
        world.run(30.0)
        assert world.master() is world.beta and roles(world) == before
    world.alpha.gateway = True
    world.run(TIMERS.uplink_calm + 4.0)
    assert world.master() is world.alpha


def roles(world: World) -> int:
    return sum(isinstance(action, a.UnmuteTunnels) for node in world.nodes for _, action in node.log)


def test_who_gave_the_role_away_takes_it_when_the_uplink_of_the_other_one_is_dead() -> None:
    world = settled()
    world.beta.notify(e.HandoverAsked(world.now))
    world.alpha.notify(e.HandoverAsked(world.now))
    world.run(3.0)
    assert world.master() is world.beta
    world.beta.gateway = False
    world.run(DETECTED + 1.0)
    assert world.master() is world.alpha
    world.beta.gateway = True
    world.run(TIMERS.uplink_calm + 4.0)
    assert world.master() is world.beta


def test_a_master_that_gave_the_role_away_before_holds_it_until_the_other_one_is_ready() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.tell(e.HandoverAsked(bench.now))
    bench.vrrp("BACKUP")
    bench.hear("master", 2, ready=False)
    assert bench.machine.box.given_away
    bench.vrrp("MASTER")
    bench.hear("backup", 3, ready=False)
    assert bench.machine.report().ready
    assert only(a.SetReady, bench.hear("backup", 3, ready=True)) == [a.SetReady(NOT_READY)]


def test_in_a_pair_the_role_goes_to_the_living_uplink_and_returns_with_it() -> None:
    world = settled()
    watch = Watch(world)
    world.alpha.gateway = False
    world.run(DETECTED + 1.0, watch)
    assert world.master() is world.beta
    world.run(30.0, watch)
    assert world.master() is world.beta
    world.alpha.gateway = True
    world.run(TIMERS.uplink_calm + 4.0, watch)
    assert world.master() is world.alpha


@SETTINGS
@given(
    st.lists(st.tuples(st.sampled_from([0.7, 2.0, 3.3, 6.0, 9.0]), st.booleans()), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.3, 0.51, 0.93]),
    st.booleans(),
)
def test_one_modem_for_both_moves_nothing_however_it_comes_and_goes(
    history: list[tuple[float, bool]], shift: float, beta_first: bool
) -> None:
    """The two boxes ask at different moments, and one of them may stand still meanwhile."""
    world = World()
    first, second = (world.beta, world.alpha) if beta_first else (world.alpha, world.beta)
    first.boot()
    world.run(shift)
    second.boot()
    world.run(6.0)
    world.everybody_calls()
    world.run(4.0)
    before, watch = roles(world), Watch(world)
    for seconds, living in history:
        for node in world.nodes:
            node.gateway = living
        world.run(seconds, watch)
    assert roles(world) == before


def session(bench: Bench, seconds: int, up: bool, **partner: Any) -> list[a.SetReady]:
    """The same of an uplink that is dialled."""
    leases = (Lease("wan", "100.64.0.10/32", "02:00:00:00:00:01", 60.0, 7),) if up else ()
    return told(
        bench, seconds, lambda: (e.LeasesRead(leases, bench.now), e.UplinksRead({}, bench.now, WAN, WAN)), partner
    )


def test_a_session_that_does_not_come_back_is_given_away() -> None:
    """What is dialled anew in time is not: many providers end each session once a day."""
    bench = Bench()
    bench.master()
    session(bench, 3, True)
    assert not session(bench, TIMERS.uplink_misses_session - 1, False)
    session(bench, 2, True)
    assert not session(bench, TIMERS.uplink_misses_session - 1, False)
    assert session(bench, 1, False) == [a.SetReady(NOT_READY)]
    assert bench.machine.report().not_ready == ("wan has no PPPoE session",)
    bench.vrrp("BACKUP")
    had = "wan had no PPPoE session when it was master"
    living = (Living("wan", 0.1),)
    session(bench, 600, False, role="master", epoch=2, uplinks=living)
    assert bench.machine.report().not_ready[:1] == (had,)
    # A program that hands over in turns is not the person who mended the line.
    bench.tell(e.HandoverAsked(bench.now))
    assert had in bench.machine.report().not_ready
    bench.tell(e.HandoverAsked(bench.now, forgive=True))
    assert had not in bench.machine.report().not_ready
    assert any("is forgotten" in note for note in bench.machine.report().notes)


def test_a_session_that_the_other_box_does_not_get_either_is_tried_here_again() -> None:
    bench = Bench()
    bench.master()
    session(bench, 3, True)
    for turns in (1, 2, 3):
        session(bench, TIMERS.uplink_misses_trust << turns, False)
        assert "wan has no PPPoE session" in bench.machine.report().not_ready
        bench.vrrp("BACKUP")
        session(bench, 290, False, role="master", epoch=turns + 1)
        assert "wan had no PPPoE session when it was master" in bench.machine.report().not_ready
        session(bench, 30, False, role="master", epoch=turns + 1)
        assert "wan had no PPPoE session when it was master" not in bench.machine.report().not_ready
        bench.vrrp("MASTER")
        session(bench, (TIMERS.uplink_misses_trust << turns) - 2, False)
        assert "wan has no PPPoE session" not in bench.machine.report().not_ready


def test_an_uplink_that_left_the_file_stands_against_nothing() -> None:
    bench = Bench()
    bench.master()
    session(bench, 3, True)
    session(bench, TIMERS.uplink_misses_session, False)
    bench.vrrp("BACKUP")
    bench.tell(e.UplinksRead({}, bench.now))
    assert "wan" not in " ".join(bench.machine.report().not_ready)


def test_a_session_that_never_was_there_is_not_missed() -> None:
    """It was not at the other box either."""
    bench = Bench()
    bench.master()
    assert not session(bench, 120, False)
    assert not bench.machine.report().notes
