"""The rules of the role, one by one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from takeover_steps import WALL, Bench, kinds, only

from appliance.core.codec import from_json, to_json
from appliance.core.pair.names import NOT_READY, READY
from appliance.core.state import Lease
from appliance.core.takeover import Timers
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from appliance.core.takeover.hello import Entry, Hello
from appliance.core.takeover.readiness import GIVEN_AWAY

# -- boot ---------------------------------------------------------------------------------------------------------


def test_a_box_that_starts_is_mute_and_asks() -> None:
    done = Bench().start()
    assert isinstance(done[0], a.MuteTunnels)
    assert only(a.SetReady, done) == [a.SetReady(NOT_READY)]
    assert only(a.TellPartner, done)[0].hello.ask
    assert not only(a.StartKeepalived, done)


def test_without_a_partner_it_waits_one_and_a_half_seconds() -> None:
    bench = Bench()
    bench.start()
    assert not only(a.StartKeepalived, bench.later(1.49))
    done = bench.later(0.02)
    assert only(a.StartKeepalived, done)
    assert not only(a.SetReady, done)
    assert only(a.SetReady, bench.vrrp("MASTER")) == [a.SetReady(READY)]


def test_a_box_that_was_deaf_listens_before_it_asks_for_the_role() -> None:
    """Its cable is back: VRRP would elect the preferred box before it has heard what the other did meanwhile."""
    bench = Bench(preferred=True)
    bench.master()
    bench.hear("backup", 1)
    assert only(a.SetReady, [*bench.vrrp("FAULT"), *bench.later(1.5)]) == [a.SetReady(NOT_READY)]
    assert "does not hear" in bench.machine.report().not_ready[0]
    bench.hear("master", 4)
    bench.tell(e.ConnectionsReceived(bench.now))
    assert bench.machine.report().not_ready == ("it waits a moment before it asks for the role again",)
    done: list[a.Action] = []
    for _ in range(8):
        done += [*bench.later(0.45), *bench.hear("master", 4)]
    assert only(a.SetReady, tuple(done)) == [a.SetReady(READY)]


def test_with_the_partners_table_it_need_not_wait() -> None:
    bench = Bench()
    bench.start()
    entry = Entry(bench.names[0], "192.0.2.1:1", 3.0, (4, 1))
    assert "StartKeepalived" not in kinds(bench.hear("master", 4, version=(4, 2), until=(4, 1), entries=(entry,)))
    done = bench.hear("master", 4, version=(4, 2), since=(4, 1), until=(4, 2))
    assert "StartKeepalived" in kinds(done)


@pytest.mark.parametrize("preferred", [False, True])
def test_of_two_that_boot_at_once_the_preferred_one_goes_first(preferred: bool) -> None:
    bench = Bench(preferred=preferred)
    bench.start()
    assert bool(only(a.StartKeepalived, bench.hear("backup", 0))) is preferred
    assert bool(only(a.StartKeepalived, bench.hear("master", 1, held=1))) is not preferred


def test_a_preferred_box_lets_a_new_master_hear_from_its_peers() -> None:
    bench = Bench(preferred=True)
    bench.booted()
    bench.hear("master", 4, promoted_ago=0.5)
    bench.tell(e.ConnectionsReceived(bench.now))
    assert "has just become master" in bench.machine.report().not_ready[0]
    done: list[a.Action] = []
    for number in range(1, 6):
        done += [*bench.later(0.45), *bench.hear("master", 4, promoted_ago=0.5 + 0.45 * number)]
    assert only(a.SetReady, tuple(done)) == [a.SetReady(READY)]


def test_it_does_not_start_below_the_floor() -> None:
    bench = Bench()
    bench.start(wall=1000.0, trusted=False, floor=WALL)
    assert "StartKeepalived" not in kinds(bench.later(1.4))
    done = bench.later(5.0)
    assert "StartKeepalived" not in kinds(done)
    step = only(a.StepClock, done)[-1]
    assert step.wall >= WALL
    assert "StartKeepalived" in kinds(bench.tell(e.Clock(step.wall, False, bench.now)))


def test_a_clock_that_cannot_be_set_is_said_and_not_waited_for() -> None:
    bench = Bench()
    bench.start(wall=1000.0, trusted=False, floor=WALL)
    step = only(a.StepClock, bench.later(5.0))[-1]
    done = bench.tell(e.Clock(1005.0, False, bench.now, stuck=True))
    assert "StartKeepalived" in kinds(done)
    assert "cannot be set" in " ".join(bench.machine.report().notes)
    assert not only(a.StepClock, bench.later(5.0))
    bench.tell(e.Clock(step.wall + 60, True, bench.now))
    assert not bench.machine.report().notes


def test_a_battery_clock_is_not_set_ahead() -> None:
    """The floor on disk is ahead of the last handshake; a clock that went on meanwhile is right."""
    bench = Bench()
    bench.start(wall=WALL - 700.0, trusted=False, floor=WALL)
    assert "StartKeepalived" in kinds(bench.later(1.6))


def test_a_partners_clock_is_better_than_the_floor_on_disk() -> None:
    bench = Bench()
    bench.start(wall=1000.0, trusted=False, floor=WALL + 700)
    done = bench.hear("backup", 2, clock=WALL)
    assert only(a.StepClock, done)[0].wall == pytest.approx(WALL, abs=0.2)


def test_a_role_that_was_given_away_stays_so_when_the_supervisor_is_started_again() -> None:
    """Whoever works on the box would have it take the role back amid that."""
    for given_away in (False, True):
        bench = Bench(preferred=True)
        bench.start(keepalived=True, vrrp="BACKUP", given_away=given_away)
        bench.hear("master", 1)
        assert (GIVEN_AWAY in bench.machine.report().not_ready) is given_away


def test_a_standby_whose_clock_stays_behind_sets_it_now_and_then() -> None:
    """Setting it costs a slow box a second, in which the master's clock has gone on: that must not be all it does."""
    bench, set_to = Bench(), list[float]()
    bench.booted(trusted=False)
    for _ in range(100):
        done = [*bench.later(0.2), *bench.hear("master", 1, floor=WALL + bench.now + 5.0)]
        for step in only(a.StepClock, tuple(done)):
            set_to.append(step.wall)
            bench.tell(e.Clock(step.wall - 2.0, False, bench.now))
    assert 3 <= len(set_to) <= 5, set_to
    # A takeover does not wait: the peers must take its handshakes.
    assert only(a.StepClock, bench.vrrp("MASTER"))


def test_a_clock_that_was_in_the_future_does_not_come_back_with_the_next_boot() -> None:
    """The floor on disk follows a synchronised clock down; and the partner does not take it for what it is not."""
    bench = Bench()
    years = 4e8
    bench.start(wall=WALL + years, trusted=False)
    assert only(a.WriteFloor, bench.later(2.0))[-1].wall > WALL + years
    bench.tell(e.Clock(WALL, True, bench.now))
    (written,) = only(a.WriteFloor, bench.later(1.0))
    assert written.wall == pytest.approx(WALL + Timers().floor_ahead, abs=5)
    other = Bench()
    other.start(wall=WALL, trusted=False)
    other.hear("backup", 2, floor=WALL + years, clock=WALL + 5.0)
    assert other.machine.box.floor.lowest <= WALL + 5.0


def test_the_floor_is_written_rarely_and_ahead() -> None:
    bench = Bench()
    bench.booted()
    written = only(a.WriteFloor, bench.later(3600.0))
    assert 5 <= len(written) <= 7
    assert all(after.wall - before.wall >= 590 for before, after in itertools.pairwise(written))


def test_peers_are_called_where_they_were_before_the_power_went() -> None:
    bench = Bench(3)
    done = bench.start(remembered={bench.names[1]: "192.0.2.1:1", "nobody": "192.0.2.2:2"})
    assert only(a.SetEndpoints, done) == [a.SetEndpoints({bench.names[1]: "192.0.2.1:1"})]
    bench.later(1.6)
    done = bench.vrrp("MASTER")
    assert only(a.SetKeepalive, done)[0].peers == (bench.names[1],)


def test_what_the_partner_says_is_better_than_the_disk() -> None:
    bench = Bench(1)
    name = bench.names[0]
    bench.start(remembered={name: "192.0.2.1:1"})
    entry = Entry(name, "192.0.2.9:9", 3.0, (4, 1))
    done = bench.hear("master", 4, version=(4, 1), until=(4, 1), entries=(entry,))
    assert only(a.SetEndpoints, done) == [a.SetEndpoints({name: "192.0.2.9:9"})]


# -- promotion and demotion ----------------------------------------------------------------------------------------


def test_the_order_of_a_promotion() -> None:
    bench = Bench(100)
    bench.booted()
    entries = tuple(Entry(name, "192.0.2.1:1", float(n), (4, n + 1)) for n, name in enumerate(bench.names))
    bench.hear("master", 4, version=(4, 100), until=(4, 100), entries=entries)
    done = bench.vrrp("MASTER")
    assert kinds(done) == [
        "HoldForward",
        "CommitConnections",
        "UseLeases",
        "SetKeepalive",
        "UnmuteTunnels",
        "AddTunnelRoutes",
        "AskRouter",
        "CallPeers",
        "SetReady",
    ]
    hello = only(a.TellPartner, done)[0].hello
    assert isinstance(done[7], a.TellPartner), "once the handshakes are under way"
    assert (hello.role, hello.epoch) == ("master", 5)
    assert only(a.SetKeepalive, done) == [a.SetKeepalive(tuple(bench.names[:50]), 25)]
    assert only(a.CallPeers, done)[0].peers == tuple(bench.names[50:64])


@pytest.mark.parametrize("state", ["BACKUP", "FAULT", "STOP"])
def test_muting_comes_first(state: str) -> None:
    bench = Bench()
    bench.master()
    done = bench.vrrp(state)
    assert isinstance(done[0], a.MuteTunnels)
    assert only(a.TellPartner, done)[0].hello.role == "backup"
    assert only(a.HoldForward, done) == [a.HoldForward(False)]


def test_the_forward_hold_ends_with_the_commit_or_by_itself() -> None:
    bench = Bench()
    bench.master()
    assert only(a.HoldForward, bench.tell(e.Committed(bench.now))) == [a.HoldForward(False)]
    other = Bench()
    other.master()
    assert only(a.HoldForward, other.later(0.6)) == [a.HoldForward(False)]


def test_a_notification_twice_does_nothing() -> None:
    bench = Bench()
    bench.master()
    assert kinds(bench.vrrp("MASTER")) == []


def test_the_phases_are_measured() -> None:
    bench = Bench()
    bench.booted()
    entries = tuple(Entry(name, "192.0.2.1:1", 1.0, (4, n + 1)) for n, name in enumerate(bench.names))
    bench.hear("master", 4, version=(4, 3), until=(4, 3), entries=entries)
    bench.vrrp("MASTER")
    bench.later(0.01)
    bench.tell(e.Unmuted(bench.now))
    bench.later(0.02)
    bench.tell(e.Handshake(bench.names[0], bench.now))
    bench.later(0.02)
    bench.tell(e.Committed(bench.now))
    bench.later(0.05)
    bench.read(*bench.names)
    found = bench.machine.report().takeover
    assert found is not None
    times = (found.unmuted, found.first_handshake, found.committed, found.last_active_back)
    assert times == pytest.approx((0.01, 0.03, 0.05, 0.1))
    assert (found.called, found.answered, found.done) == (3, 3, True)


# -- two masters ---------------------------------------------------------------------------------------------------


def test_the_lower_epoch_yields_and_comes_back_when_the_other_stepped_down() -> None:
    bench = Bench()
    bench.master()
    done = bench.hear("master", 5, held=5, master_for=1.0)
    assert isinstance(done[0], a.MuteTunnels)
    assert only(a.TellPartner, done)[0].hello.role == "yielding"
    done = bench.hear("backup", 5, held=5)
    assert [k for k in kinds(done) if k in ("MuteTunnels", "UnmuteTunnels", "Announce")] == [
        "UnmuteTunnels",
        "Announce",
    ]
    assert only(a.TellPartner, done)[-1].hello.epoch == 6


def test_of_equal_epochs_the_later_name_goes_on() -> None:
    bench = Bench()
    bench.master()
    done = bench.hear("master", 1, held=1, master_for=0.1)
    assert "Announce" in kinds(done)
    assert "MuteTunnels" not in kinds(done)
    assert only(a.TellPartner, done)[0].hello.epoch == 2
    done = bench.hear("backup", 2, held=1)
    assert kinds(done)[:1] == ["MuteTunnels"]
    assert "UnmuteTunnels" in kinds(done)


def test_the_one_that_steps_down_late_does_not_disturb_a_takeover() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, master_for=90.0, held=4)
    bench.vrrp("MASTER")
    bench.later(0.02)
    assert "MuteTunnels" not in kinds(bench.hear("master", 4, master_for=90.1, held=4))
    assert kinds(bench.hear("backup", 5, held=4)) == []


def test_a_master_that_learns_that_the_other_was_it_meanwhile_calls_again() -> None:
    bench = Bench()
    bench.master()
    done = bench.hear("backup", 2, held=2)
    assert kinds(done)[0] == "MuteTunnels"
    assert "Announce" in kinds(done)


@pytest.mark.parametrize(("promoted_ago", "again"), [(5.0, False), (1.0, True)])
def test_a_master_of_a_lower_epoch_that_nobody_heard_of_counts_too(promoted_ago: float, again: bool) -> None:
    bench = Bench()
    bench.master()
    bench.later(2.0)
    done = kinds(bench.hear("backup", 0, held=0, promoted_ago=promoted_ago))
    assert ("UnmuteTunnels" in done) == again
    # The same news is no news, however long the hello took.
    bench.later(2.0)
    assert "UnmuteTunnels" not in kinds(bench.hear("backup", 0, held=0, promoted_ago=promoted_ago + 1.9))


def test_an_answer_that_nothing_happened_disturbs_nothing() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.later(0.8)
    bench.hear("backup", 1)
    bench.later(0.1)
    done = bench.tell(e.Stalled(1.5, bench.now))
    asked = only(a.TellPartner, done)[0].hello
    assert asked.ask
    bench.hear("backup", 1, heard_incarnation="one", heard=asked.sequence)
    assert "MuteTunnels" not in kinds(bench.later(0.5))


@pytest.mark.parametrize("event", [e.Stalled(1.5, 12.5), e.MasterSeenLowerPriority(12.5)])
def test_no_answer_after_a_stall_counts_as_a_takeover(event: e.Event) -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.later(1.0)
    bench.hear("backup", 1)
    assert bench.now == 12.5
    bench.tell(event)
    assert "MuteTunnels" in kinds(bench.later(0.4))
    assert not bench.machine.box.muted


def test_a_box_that_stands_still_taking_over_from_a_dead_one_does_not_begin_anew() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4)
    bench.later(0.15)
    bench.vrrp("MASTER")
    done: list[str] = []
    for _ in range(2):
        bench.now += 0.4
        done += kinds(bench.tell(e.Stalled(0.4, bench.now)))
        done += kinds(bench.later(0.4))
    assert "MuteTunnels" not in done and not bench.machine.box.muted


def test_the_one_that_yields_for_long_stops_keepalived() -> None:
    bench = Bench()
    bench.master()
    done: list[str] = []
    for _ in range(8):
        bench.hear("master", 9, held=9, master_for=5.0)
        done += kinds(bench.later(0.2))
    assert [k for k in done if "Keepalived" in k or "Drop" in k] == ["StopKeepalived", "DropVirtualAddresses"]
    assert "StartKeepalived" in kinds(bench.hear("backup", 9, held=9))


# -- keepalived ----------------------------------------------------------------------------------------------------


def test_without_keepalived_it_goes_on_until_the_partner_is_master() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    assert kinds(bench.tell(e.KeepalivedDied(bench.now))) == []
    done = bench.hear("master", 2, held=2)
    assert kinds(done)[:1] == ["MuteTunnels"]
    assert "DropVirtualAddresses" in kinds(done)
    assert "StartKeepalived" in kinds(bench.later(0.3))


def test_what_keepalived_took_away_in_its_last_breath_is_put_back() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.tell(e.KeepalivedDied(bench.now))
    assert kinds(bench.later(0.05)) == ["KeepVirtualAddresses"]
    assert kinds(bench.later(0.1)) == []


@pytest.mark.parametrize("what", ["it said STOP", "the other box is master", "it was not master"])
def test_nothing_is_put_back_where_the_role_is_gone(what: str) -> None:
    bench = Bench()
    (bench.booted if what == "it was not master" else bench.master)()
    bench.hear("backup", 1)
    bench.tell(e.KeepalivedDied(bench.now))
    if what == "it said STOP":
        bench.vrrp("STOP")
    if what == "the other box is master":
        bench.hear("master", 2, held=2)
    assert "KeepVirtualAddresses" not in kinds(bench.later(0.5))


def test_a_preferred_box_whose_keepalived_died_does_not_take_the_role_back_at_once() -> None:
    bench = Bench(preferred=True)
    bench.master()
    bench.hear("backup", 1)
    bench.later(1)
    bench.hear("backup", 1)
    assert kinds(bench.tell(e.KeepalivedDied(bench.now))) == ["SetReady"]
    bench.later(0.2)
    assert only(a.TellPartner, bench.hear("backup", 1, ask=True))[0].hello.ready is False
    bench.hear("master", 2, held=2)
    ready: list[a.SetReady] = []
    for _ in range(24):
        ready += only(a.SetReady, bench.later(0.2))
        bench.tell(e.ConnectionsReceived(bench.now))
        bench.hear("master", 2, held=2, until=bench.machine.box.table.version)
    assert ready == []
    assert bench.machine.report().not_ready == ("it waits a moment before it asks for the role again",)
    for _ in range(3):
        ready += only(a.SetReady, bench.later(0.2))
        bench.hear("master", 2, held=2)
    assert ready == [a.SetReady(READY)]


def test_without_keepalived_and_partner_it_goes_on_for_two_seconds() -> None:
    bench = Bench()
    bench.master()
    assert kinds(bench.tell(e.KeepalivedDied(bench.now))) == ["StartKeepalived"]
    assert "MuteTunnels" not in kinds(bench.later(1.9))
    assert kinds(bench.later(0.2))[:1] == ["MuteTunnels"]


def test_what_is_read_of_keepalived_after_its_end_does_not_keep_it_from_being_started() -> None:
    """Its child cleans up when it is alone, and says STOP."""
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.tell(e.KeepalivedDied(bench.now))
    done = bench.vrrp("STOP")
    assert kinds(done)[:1] == ["MuteTunnels"]
    assert "StartKeepalived" in kinds(bench.later(0.3))


@pytest.mark.parametrize("late", ["BACKUP", "FAULT", "STOP", "MASTER"])
def test_a_word_after_its_end_is_no_sign_of_life(late: str) -> None:
    """A child that outlives its parent may say anything; the box must not believe that its keepalived runs."""
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.vrrp("BACKUP")
    bench.tell(e.KeepalivedDied(bench.now))
    bench.vrrp(late)
    assert "StartKeepalived" in kinds(bench.later(0.5))


def test_keepalived_that_dies_at_once_is_started_ever_more_slowly() -> None:
    bench = Bench()
    bench.booted()
    starts = 0
    end = bench.now + 60
    while bench.now < end:
        bench.tell(e.KeepalivedDied(bench.now))
        while not only(a.StartKeepalived, bench.later(0.1)):
            pass
        starts += 1
    assert starts <= 12


# -- the supervisor's own death ------------------------------------------------------------------------------------


def test_a_new_supervisor_leaves_a_working_master_alone() -> None:
    bench = Bench()
    done = bench.start(keepalived=True, vrrp="MASTER", unmuted=True, epoch=4, held=4)
    assert kinds(done) == ["HoldForward", "SetReady"]
    assert only(a.HoldForward, done) == [a.HoldForward(False)]
    hello = only(a.TellPartner, done)[0].hello
    assert (hello.role, hello.epoch) == ("master", 4)
    assert kinds(bench.later(2.0)) == ["WriteFloor"]
    assert bench.machine.hello().epoch == 5


def test_a_new_supervisor_finishes_a_takeover() -> None:
    bench = Bench()
    bench.start(keepalived=True, vrrp="MASTER", unmuted=True, epoch=4, held=4, settled=False)
    entries = tuple(Entry(name, "192.0.2.1:1", 1.0, (4, n + 1)) for n, name in enumerate(bench.names))
    bench.hear("backup", 4, version=(4, 3), until=(4, 3), entries=entries)
    done = bench.read(bench.names[0])
    assert only(a.CallPeers, done) == [a.CallPeers(tuple(bench.names[1:]), 25)]
    assert "MuteTunnels" not in kinds(done)


def test_a_new_supervisor_mutes_what_is_not_masters() -> None:
    done = Bench().start(keepalived=True, vrrp="BACKUP", unmuted=True, epoch=4)
    assert kinds(done)[0] == "MuteTunnels"
    assert "UnmuteTunnels" not in kinds(done)


def test_a_new_supervisor_that_is_elected_at_once_waits_for_the_table() -> None:
    bench = Bench()
    bench.start(keepalived=True, vrrp="BACKUP", epoch=4)
    assert "UnmuteTunnels" not in kinds(bench.vrrp("MASTER"))
    entry = Entry(bench.names[0], "192.0.2.1:1", 1.0, (4, 1))
    done = bench.hear("master", 4, version=(4, 1), until=(4, 1), entries=(entry,))
    assert only(a.SetKeepalive, done) == [a.SetKeepalive((bench.names[0],), 25)]
    assert "UnmuteTunnels" in kinds(done)
    assert "StartKeepalived" not in kinds(done)


# -- handover and readiness ----------------------------------------------------------------------------------------


def test_a_handover_lowers_the_priority_and_mutes_when_vrrp_says_so() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    done = bench.tell(e.HandoverAsked(bench.now))
    assert kinds(done) == ["SetReady"]
    assert only(a.SetReady, done) == [a.SetReady(NOT_READY)]
    assert only(a.TellPartner, done)[0].hello.handing_over
    assert not bench.machine.box.muted
    assert kinds(bench.vrrp("BACKUP"))[0] == "MuteTunnels"
    # It stays so until the other one gives the role back.
    bench.hear("master", 2, held=2)
    assert not bench.machine.report().ready
    bench.tell(e.ConnectionsReceived(bench.now))
    assert only(a.SetReady, bench.hear("master", 2, held=2, handing_over=True)) == [a.SetReady(READY)]


@pytest.mark.parametrize("ready", [None, False])
def test_nothing_is_handed_to_a_partner_that_cannot_take_it(ready: bool | None) -> None:
    bench = Bench()
    bench.master()
    if ready is not None:
        bench.hear("backup", 1, ready=ready)
    done = bench.tell(e.HandoverAsked(bench.now))
    assert kinds(done) == []
    assert "the role was kept" in only(a.Note, done)[0].text


def test_a_handover_that_nobody_takes_ends() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.tell(e.HandoverAsked(bench.now))
    assert only(a.SetReady, bench.later(5.1)) == [a.SetReady(READY)]


def test_a_standby_is_ready_when_it_has_everything() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, version=(4, 1), digest="other")
    assert len(bench.machine.report().not_ready) == 3
    entry = Entry(bench.names[0], "192.0.2.1:1", 1.0, (4, 1))
    done = bench.hear("master", 4, version=(4, 1), until=(4, 1), entries=(entry,))
    assert only(a.SetEndpoints, done) == [a.SetEndpoints({bench.names[0]: "192.0.2.1:1"})]
    assert len(bench.machine.report().not_ready) == 1
    assert only(a.SetReady, bench.tell(e.ConnectionsReceived(bench.now))) == [a.SetReady(READY)]


def test_a_preferred_box_that_dies_again_and_again_stays_backup() -> None:
    bench = Bench(preferred=True)
    bench.booted()
    bench.hear("master", 4, losses=(300.0, 200.0, 100.0))
    bench.tell(e.ConnectionsReceived(bench.now))
    why = bench.machine.report().not_ready
    assert len(why) == 1 and "3 times in 10 minutes" in why[0]
    assert any("stays backup" in text for text in bench.machine.report().notes)
    for _ in range(3000):
        bench.later(0.2)
        bench.hear("master", 4)
    assert bench.machine.report().ready


def test_the_partner_counts_what_it_saw() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, held=4)
    done = bench.vrrp("MASTER")
    assert only(a.TellPartner, done)[0].hello.losses == (0.0,)


@pytest.mark.parametrize("preferred", [True, False])
def test_a_preferred_box_that_takes_the_role_back_counts_nothing(preferred: bool) -> None:
    bench = Bench(preferred=preferred)
    bench.booted()
    bench.hear("master", 4, held=4)
    bench.tell(e.ConnectionsReceived(bench.now))
    assert bench.machine.report().ready
    losses = only(a.TellPartner, bench.vrrp("MASTER"))[0].hello.losses
    assert losses == (() if preferred else (0.0,))


def test_a_cable_that_was_pulled_counts_whichever_word_was_quicker() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, held=4)
    bench.hear("backup", 4, held=4)
    assert only(a.TellPartner, bench.vrrp("MASTER"))[0].hello.losses == (0.0,)


@pytest.mark.parametrize("ready", [True, False])
def test_a_handover_is_no_loss_and_forgives_those_before(ready: bool) -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, held=4)
    bench.vrrp("MASTER")
    bench.hear("backup", 4, held=4, ready=ready)
    done = bench.tell(e.HandoverAsked(bench.now))
    assert only(a.TellPartner, done)[0].hello.losses == ()
    assert ("forgotten" in " ".join(bench.machine.report().notes)) is not ready
    bench.vrrp("BACKUP")
    bench.hear("master", 6, held=6)
    bench.hear("master", 6, held=6, handing_over=True)
    bench.hear("backup", 6, held=6)
    assert only(a.TellPartner, bench.vrrp("MASTER"))[0].hello.losses == ()


# -- hellos --------------------------------------------------------------------------------------------------------


def test_hellos_keep_their_value_on_the_wire() -> None:
    bench = Bench()
    bench.master()
    bench.read(*bench.names)
    bench.hear("backup", 1)
    hello = bench.machine.hello()
    assert len(hello.entries) == 3
    assert from_json(Hello, to_json(hello)) == hello


def test_old_and_doubled_hellos_say_nothing() -> None:
    bench = Bench()
    bench.master()
    bench.hear("backup", 1)
    bench.partner = 0
    assert kinds(bench.hear("master", 99)) == []
    bench.hear("backup", 1, incarnation="alpha-2")
    assert kinds(bench.hear("master", 99, incarnation="alpha-1")) == []
    assert not bench.machine.box.muted


def test_a_silent_partner_is_gone_after_a_second() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("backup", 1)
    bench.later(0.9)
    assert bench.machine.box.partner.alive
    done = bench.later(0.2)
    assert "alpha is not heard" in only(a.Note, done)[0].text


def test_status_says_which_box_is_ahead() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("backup", 1, digest="newer", generation=8)
    partner = bench.machine.report().partner
    assert partner is not None and not partner.in_step and partner.ahead == "alpha"


# -- leases --------------------------------------------------------------------------------------------------------

LENT = Lease("wan", "203.0.113.10/24", "203.0.113.1", 600.0)


def test_a_standby_uses_the_lease_that_the_master_told_it_of() -> None:
    bench = Bench()
    bench.booted()
    assert only(a.NoteLeases, bench.hear("master", 4, leases=(LENT,))) == [a.NoteLeases((LENT,))]
    assert not only(a.NoteLeases, bench.hear("master", 4, leases=(replace(LENT, seconds=599.5),)))
    bench.later(0.5)
    assert only(a.UseLeases, bench.vrrp("MASTER"))[0].leases == (replace(LENT, seconds=599.0),)


def test_a_lease_that_has_ended_is_not_used() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, leases=(replace(LENT, seconds=5.0),))
    bench.later(4.5)
    assert only(a.UseLeases, bench.vrrp("MASTER")) == [a.UseLeases(())]


def test_a_master_that_lost_its_line_has_not_lost_the_lease_for_the_other() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, leases=(LENT,))
    bench.hear("master", 4)
    assert only(a.UseLeases, bench.vrrp("MASTER"))[0].leases == (LENT,)


def test_a_master_tells_at_once_what_was_lent_to_it() -> None:
    bench = Bench()
    bench.master()
    done = bench.tell(e.LeasesRead((LENT,), bench.now))
    assert only(a.NoteLeases, done) == [a.NoteLeases((LENT,))]
    assert only(a.TellPartner, done)[0].hello.leases == (LENT,)
    assert not only(a.NoteLeases, bench.tell(e.LeasesRead((replace(LENT, seconds=900.0),), bench.now)))
    other = replace(LENT, address="203.0.113.77/24")
    assert only(a.NoteLeases, bench.tell(e.LeasesRead((other,), bench.now))) == [a.NoteLeases((other,))]
    assert only(a.NoteLeases, bench.hear("backup", 1, leases=(LENT,))) == []


def test_a_standby_has_nothing_to_say_of_leases() -> None:
    bench = Bench()
    bench.booted()
    bench.hear("master", 4, leases=(LENT,))
    assert not only(a.NoteLeases, bench.tell(e.LeasesRead((), bench.now)))
    assert all(not told.hello.leases for told in only(a.TellPartner, bench.later(1.0)))


def test_leases_survive_the_way_to_the_other_box() -> None:
    hello = Hello("alpha", "one", 1, "master", 4, leases=(LENT,))
    assert from_json(Hello, to_json(hello)) == hello


def test_what_lets_a_master_speak_goes_with_the_role_whoever_had_set_it() -> None:
    bench = Bench()
    bench.master()
    done = kinds(bench.vrrp("BACKUP"))
    assert done.index("MuteTunnels") < done.index("DropVoice")
    restarted = Bench()
    done = kinds(restarted.start(keepalived=True, vrrp="BACKUP", unmuted=True))
    assert done.index("MuteTunnels") < done.index("DropVoice")
    elected = Bench()
    assert "DropVoice" not in kinds(elected.start(keepalived=True, vrrp="MASTER"))


def test_a_new_supervisor_of_a_master_without_links_leaves_it_alone() -> None:
    bench = Bench()
    bench.tell(e.LinksRead(("enp1s0", "enp2s0"), False, bench.now, deaf=True))
    done = bench.start(keepalived=True, vrrp="MASTER", unmuted=True)
    assert only(a.SetReady, done) == [a.SetReady(READY)]
