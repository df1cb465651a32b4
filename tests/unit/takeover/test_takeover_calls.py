"""Who is called when: the last active first, a window at a time, and whoever is away delays nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from takeover_steps import Bench, only

from appliance.core.lent import FOR_EVER
from appliance.core.state import Lease
from appliance.core.takeover import Timers
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from appliance.core.takeover.calls import Calls
from appliance.core.takeover.hello import Entry
from appliance.core.takeover.table import Table

STEP = 0.01
ROUND_TRIP = 0.02


def run(count: int, away: set[int], engine: str = "userspace", lost: int = 0) -> tuple[list[str], dict[str, float]]:
    """Calls `count` peers; returns the order of the first calls, and when each was back.

    `lost`: so many peers do not answer their first call.
    """
    calls = Calls(Timers())
    peers = [e.Peer(f"office.p{n:04}", 0, engine) for n in range(count)]
    window = calls.timers.windows[engine]
    calls.add(peers)
    order: list[str] = []
    back: dict[str, float] = {}
    under_way: list[tuple[float, str]] = []
    now = 0.0
    started: list[str] = list(calls.first(now))
    while now < 60 and not calls.done:
        due = calls.due(now)
        started += due.calls
        order += started
        for name in (*started, *due.again):
            number = int(name[-4:])
            if number not in away and not (number < lost and name in started):
                under_way.append((now + ROUND_TRIP, name))
        started = []
        assert calls.outstanding(now)["office"] <= window
        assert calls.deadline is None or calls.deadline > now
        now = round(now + STEP, 2)
        for at, name in [each for each in under_way if each[0] <= now]:
            under_way.remove((at, name))
            calls.answer(name, now)
            back.setdefault(name, now)
    return order, back


def test_a_thousand_live_peers_are_back_soon() -> None:
    order, back = run(1000, set())
    assert order == sorted(order)
    assert max(back.values()) <= 0.5
    assert max(back[name] for name in order[:50]) <= 0.05


def test_with_the_kernel_even_sooner() -> None:
    assert max(run(1000, set(), "kernel")[1].values()) <= 0.15


def test_a_lost_first_call_is_repeated_before_the_thousand_others_are_through() -> None:
    _, back = run(1000, set(range(50, 1000)), lost=10)
    assert max(back[f"office.p{n:04}"] for n in range(10)) <= 0.5


def test_peers_that_are_away_get_four_tries_and_delay_little() -> None:
    order, back = run(100, set(range(60)))
    assert len(order) == 100
    assert max(back.values()) <= 0.5


@settings(deadline=None, database=None, max_examples=100)
@given(st.integers(1, 400), st.sets(st.integers(0, 399)), st.sampled_from(["userspace", "kernel"]), st.integers(0, 99))
def test_everybody_is_called_in_order_and_the_reachable_come_back(
    count: int, away: set[int], engine: str, lost: int
) -> None:
    order, back = run(count, away, engine, lost)
    assert order == sorted(order)
    assert len(order) == count
    assert len(back) == count - len({number for number in away if number < count})


def taken_over(bench: Bench, ages: dict[str, float]) -> tuple[a.Action, ...]:
    bench.booted()
    entries = tuple(Entry(name, "192.0.2.1:1", age, (4, n + 1)) for n, (name, age) in enumerate(ages.items()))
    last = (4, len(entries))
    bench.hear("master", 4, version=last, until=last, entries=entries)
    return bench.vrrp("MASTER")


def test_the_last_active_first_and_the_long_silent_not_at_all() -> None:
    bench = Bench(5)
    ages = dict(zip(bench.names, (100.0, 1.0, 181.0, 50.0, 86400.0), strict=True))
    done = taken_over(bench, ages)
    expected = tuple(bench.names[n] for n in (1, 3, 0))
    assert only(a.SetKeepalive, done) == [a.SetKeepalive(expected, 25)]
    later = bench.later(10.0)
    assert not only(a.CallPeers, later)
    called_again = {name for action in only(a.ReAddPeers, later) for name in action.peers}
    assert called_again == set(expected)
    assert len(only(a.ReAddPeers, later)) == 3


def test_a_peer_with_a_keepalive_gets_it_back_after_the_others() -> None:
    bench = Bench(200, keepalive=15)
    done = taken_over(bench, dict.fromkeys(bench.names[:64], 1.0))
    assert not [action for action in only(a.SetKeepalive, done) if action.seconds == 15]
    assert only(a.CallPeers, done)[0].peers == tuple(bench.names[50:64])
    bench.later(0.02)
    done = bench.read(*bench.names[:64])
    answered, silent = only(a.SetKeepalive, done)
    assert (answered.seconds, set(answered.peers)) == (15, set(bench.names[:64]))
    assert (silent.seconds, silent.peers) == (15, tuple(bench.names[64:128]))
    last = only(a.SetKeepalive, bench.later(1.0))
    assert [name for action in last for name in action.peers] == bench.names[128:]


def test_configured_keepalives_are_taken_away_from_a_box_that_is_not_master() -> None:
    bench = Bench(3, keepalive=15)
    assert only(a.SetKeepalive, bench.start()) == [a.SetKeepalive(tuple(bench.names), 0)]


def test_a_handshake_that_the_peer_began_spares_the_call() -> None:
    bench = Bench(100)
    taken_over(bench, dict.fromkeys(bench.names, 1.0))
    bench.tell(e.Handshake(bench.names[99], bench.now))
    done = (*bench.later(0.05), *bench.read(*bench.names[:64]), *bench.later(0.1))
    called = [name for action in only(a.CallPeers, done) for name in action.peers]
    assert set(called) == set(bench.names[64:99])


def test_an_engine_that_was_started_again_is_given_its_endpoints_and_calls() -> None:
    bench = Bench(3)
    taken_over(bench, dict.fromkeys(bench.names, 1.0))
    bench.later(0.05)
    bench.read(*bench.names)
    done = bench.tell(e.EngineStarted("office", bench.now))
    assert only(a.SetEndpoints, done)[0].endpoints.keys() == set(bench.names)
    assert set(only(a.CallPeers, done)[0].peers) == set(bench.names)


DIALLED = Lease("wan", "100.64.0.10/32", "02:aa:00:00:00:01", FOR_EVER, 17)


def dialled(bench: Bench, *leases: Lease) -> tuple[a.Action, ...]:
    return bench.tell(e.LeasesRead(leases, bench.now))


def test_when_a_session_has_come_up_peers_are_called_whatever_was_tried_before() -> None:
    bench = Bench(2)
    taken_over(bench, dict.fromkeys(bench.names, 1.0))
    bench.later(5.0)
    assert not only(a.ReAddPeers, bench.later(5.0)), "they were given up"
    assert not only(a.ReAddPeers, dialled(bench, replace(DIALLED, address=""))), "it has no address yet"
    assert only(a.ReAddPeers, dialled(bench, DIALLED)) == [a.ReAddPeers(tuple(bench.names), 25)]
    assert not only(a.ReAddPeers, dialled(bench, DIALLED))
    assert only(a.SetKeepalive, bench.read(*bench.names)) == [a.SetKeepalive(tuple(bench.names), 0)]


def test_another_session_is_told_of_to_peers_that_have_theirs_here() -> None:
    """By a keepalive from the new address; what is under way is not lost."""
    bench = Bench(2)
    taken_over(bench, dict.fromkeys(bench.names, 1.0))
    dialled(bench, DIALLED)
    bench.later(0.1)
    bench.read(*bench.names)
    dialled(bench)
    done = dialled(bench, replace(DIALLED, session=18, address="100.64.0.77/32"))
    assert only(a.CallPeers, done) == [a.CallPeers(tuple(bench.names), 25)]
    assert only(a.SetKeepalive, done) == [a.SetKeepalive(tuple(bench.names), 0)]
    assert not only(a.ReAddPeers, done)


def test_a_supervisor_that_was_started_again_calls_nobody_over_a_session_that_stands() -> None:
    bench = Bench(2)
    bench.start(keepalived=True, vrrp="MASTER", unmuted=True, epoch=4, held=4, settled=True)
    bench.read(*bench.names)
    bench.later(2.0)
    done = dialled(bench, DIALLED)
    assert not only(a.ReAddPeers, done) and not only(a.CallPeers, done)


def test_a_removed_peer_is_called_no_more() -> None:
    bench = Bench(3)
    taken_over(bench, dict.fromkeys(bench.names, 1.0))
    kept = tuple(e.Peer(name) for name in bench.names[:1])
    bench.tell(e.ConfigurationChanged("digest", 8, kept, bench.now))
    again = only(a.ReAddPeers, bench.later(10.0))
    assert {name for action in again for name in action.peers} == set(bench.names[:1])


@settings(deadline=None, database=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 299), st.integers(1, 9), st.booleans()), min_size=1, max_size=400),
    st.lists(st.booleans(), min_size=1, max_size=20),
)
def test_the_standby_has_what_the_master_knows_whatever_is_lost(
    changes: list[tuple[int, int, bool]], arrives: list[bool]
) -> None:
    from appliance.core.takeover.hello import Hello

    master, standby = Table(Timers()), Table(Timers())
    master.restamp(3, set())
    now = 0.0
    for turn, (number, endpoint, send) in enumerate([*changes, *[(0, 1, True)] * 20]):
        now += 0.1
        reading = e.Reading(f"192.0.2.{endpoint}:1", now, 0, 0)
        master.read({f"office.p{number}": reading}, now, now, 0.0)
        if send or turn >= len(changes):
            entries, until = master.newer(standby.version, now)
            if turn >= len(changes) or arrives[turn % len(arrives)]:
                standby.take(Hello("a", "1", 1, "master", 3, since=standby.version, until=until, entries=entries), now)
    assert standby.version == master.version
    assert {n: k.endpoint for n, k in standby.known.items()} == {n: k.endpoint for n, k in master.known.items()}
    for name, known in standby.known.items():
        assert known.active == pytest.approx(master.known[name].active, abs=Timers().restamp + 0.01)
