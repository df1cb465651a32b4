"""Whatever happens to two boxes: one voice, and not none, within the timers; and the peers are called."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from takeover_world import STEP, TIMERS, World, settled

from appliance.core.takeover import actions as a
from appliance.core.takeover.events import HandoverAsked

HEARD = 3 * TIMERS.hello + 0.15
"""Of three hellos one arrives; the slowest takes 0.12 s."""
ELECTION = 0.5
BOTH = HEARD + 0.3
"""So long may two boxes be unmuted that could hear each other all the time."""
NEITHER = TIMERS.boot + TIMERS.park + TIMERS.orphan + TIMERS.gone + HEARD + ELECTION + 0.7
"""So long may both be muted while one of them has been healthy all the time: it boots; the other one, by a higher epoch
master, loses its keepalived as this one is parked, and is cut off from it when it gives up; then keepalived elects."""
WITHOUT = TIMERS.last_breath + 2 * STEP
"""So long a master whose keepalived died answers for no virtual address."""
ADDRESSES = TIMERS.park + TIMERS.orphan + HEARD + ELECTION

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
SETTINGS = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    max_examples=EXAMPLES,
)

KILLED, LAST_WORD, LAST_BREATH = "keepalived", "keepalived, last word", "keepalived, last breath"
BOXES = st.sampled_from(["alpha", "beta"])
BLOWS = st.one_of(
    st.tuples(st.just("power"), BOXES, st.sampled_from([0.5, 2.0, 6.0])),
    st.tuples(st.just("past"), BOXES, st.sampled_from([0.5, 2.0])),
    st.tuples(st.just("supervisor"), BOXES, st.sampled_from([0.3, 0.3, 0.3, 12.0, 25.0])),
    st.tuples(st.sampled_from([KILLED, LAST_WORD, LAST_BREATH]), BOXES, st.just(0.0)),
    st.tuples(st.just("stall"), BOXES, st.sampled_from([0.2, 0.6, 1.5, 4.0])),
    st.tuples(st.just("silent stall"), BOXES, st.sampled_from([0.6, 1.5])),
    st.tuples(st.just("carrier"), BOXES, st.sampled_from([0.1, 0.5, 3.0])),
    st.tuples(st.just("cable"), BOXES, st.sampled_from([0.02, 0.1, 0.5, 3.0])),
    st.tuples(st.just("cables"), st.just(""), st.sampled_from([0.1, 0.5, 3.0])),
    st.tuples(st.just("gateway"), BOXES, st.sampled_from([0.5, 2.0, 4.0])),
    st.tuples(st.just("gateways"), st.just(""), st.sampled_from([0.5, 2.0, 4.0])),
    st.tuples(st.just("handover"), BOXES, st.just(0.0)),
    st.tuples(st.just("pair"), st.just(""), st.sampled_from([0.3, 0.9, 3.0, 6.0])),
    st.tuples(st.just("adverts"), st.just(""), st.sampled_from([0.3, 0.6, 2.0, 6.0])),
    st.tuples(st.just("all"), st.just(""), st.sampled_from([0.3, 0.6, 2.0, 6.0])),
)
PAUSES = st.sampled_from([0.0, 0.03, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5])
HISTORIES = st.lists(st.tuples(PAUSES, BLOWS), min_size=1, max_size=8)


def strike(world: World, what: str, box: str, seconds: float) -> None:
    node = world.alpha if box == "alpha" else world.beta
    match what:
        case "power":
            node.power_cut()
            world.later(seconds, node.boot)
        case "past":
            node.power_cut()
            world.later(seconds, lambda: node.boot(1000.0))
        case "supervisor":
            if node.machine:
                node.kill_supervisor(seconds)
        case "keepalived" | "keepalived, last word" | "keepalived, last breath":
            if node.keepalived:
                node.kill_keepalived(what == LAST_WORD, what == LAST_BREATH)
        case "stall" | "silent stall":
            node.stall(seconds, what == "stall")
        case "carrier":
            node.connect(False)
            world.later(seconds, lambda: node.connect(True))
        case "cable" | "cables":
            for each in world.nodes if what == "cables" else (node,):
                each.plug(False)
                world.later(seconds, lambda each=each: each.plug(True))  # type: ignore[misc]
        case "gateway" | "gateways":
            for each in world.nodes if what == "gateways" else (node,):
                each.gateway = False
                world.later(seconds, lambda each=each: setattr(each, "gateway", True))  # type: ignore[misc]
        case "handover":
            node.notify(HandoverAsked(world.now))
        case "pair" | "adverts" | "all":
            if what != "adverts":
                world.set_pair(False)
                world.later(seconds, lambda: world.set_pair(True))
            if what != "pair":
                world.vrrp = False
                world.later(seconds, lambda: setattr(world, "vrrp", True))


class Watch:
    """How long each thing that must not last has lasted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.both = self.addresses = 0.0
        self.without = {node.name: 0.0 for node in world.nodes}
        self.silent_since = dict.fromkeys(self.without, world.now)
        self.longest_both = self.longest_neither = 0.0

    def __call__(self) -> None:
        world = self.world
        hear = world.pair and all(node.serves for node in world.nodes)
        self.both = self.both + STEP if hear and not any(node.muted for node in world.nodes) else 0.0
        self.addresses = self.addresses + STEP if hear and all(node.addresses for node in world.nodes) else 0.0
        self.longest_both = max(self.longest_both, self.both)
        assert self.both <= BOTH, f"{world.now}: both unmuted"
        assert self.addresses <= ADDRESSES, f"{world.now}: both answer for the virtual addresses"
        for node in world.nodes:
            if not node.silent:
                self.silent_since[node.name] = world.now
            orphan = node.serves and node.machine and not node.muted and not node.keepalived
            without = self.without[node.name] + STEP if orphan and not node.addresses else 0.0
            self.without[node.name] = without
            assert without <= WITHOUT, f"{world.now}: {node.name} serves without the virtual addresses"
        if all(node.silent for node in world.nodes):
            muted = world.now - max(self.silent_since[node.name] for node in world.nodes)
            healthy = world.now - min(node.healthy_since for node in world.nodes)
            self.longest_neither = max(self.longest_neither, min(muted, healthy))
            assert min(muted, healthy) <= NEITHER, f"{world.now}: both muted"
        for node in world.nodes:
            if not node.muted and node.serves and node.machine:
                orphan = node.machine.box.orphan_until
                assert node.machine.box.vrrp == "MASTER" or (orphan is not None and orphan >= world.now - STEP)


def play(history: list[tuple[float, tuple[str, str, float]]], world: World) -> Watch:
    watch = Watch(world)
    for pause, (what, box, seconds) in history:
        world.run(pause, watch)
        note(f"{world.now}: {what} {box} {seconds}")
        strike(world, what, box, seconds)
    return watch


@SETTINGS
@example([(0.0, ("adverts", "", 6.0)), (0.03, ("supervisor", "alpha", 0.3))], [0], 0, True)  # yielded to each other
@example([(0.0, ("keepalived", "alpha", 0.0)), (0.0, ("past", "beta", 0.5))], [0], 0, True)  # drove each other ahead
@example([(0.35, ("supervisor", "beta", 0.3)), (0.0, ("handover", "alpha", 0.0))], [0], 0, True)
@example([(0.0, ("handover", "alpha", 0.0)), (0.35, ("supervisor", "beta", 0.3))], [0], 0, True)  # held for ever
@example([(0.0, ("carrier", "alpha", 0.1)), (0.5, ("carrier", "alpha", 0.1))], [137], 1, True)  # old news became new
@example(
    [(0.0, ("all", "", 0.6)), (0.35, ("supervisor", "alpha", 0.3)), (0.0, ("supervisor", "beta", 0.3))], [0], 0, True
)
@example([(0.0, ("keepalived, last word", "alpha", 0.0))], [0], 0, True)  # and was never started again
@example([(0.0, (LAST_BREATH, "alpha", 0.0))], [0], 0, True)  # and the tunnels stood still
@given(HISTORIES, st.lists(st.integers(0, 139), min_size=1, max_size=40), st.integers(0, 6), st.booleans())
def test_one_voice_and_not_none_and_everybody_is_called(
    history: list[tuple[float, tuple[str, str, float]]], fates: list[int], unreachable: int, prefers: bool
) -> None:
    turn = [0]

    def fate() -> int:
        turn[0] += 1
        return fates[turn[0] % len(fates)]

    world = settled(6, unreachable, prefers=prefers)
    world.fates = fate
    watch = play(history, world)
    while any(node.powered and not node.machine for node in world.nodes):
        world.run(1.0, watch)
    world.run(14.0, watch)
    promotions = sum(isinstance(action, a.UnmuteTunnels) for node in world.nodes for _, action in node.log)
    world.run(8.0, watch)
    master = world.master()
    assert master is not None
    assert promotions == sum(isinstance(action, a.UnmuteTunnels) for node in world.nodes for _, action in node.log)
    assert master.machine and master.vrrp == "MASTER" and master.addresses
    assert not master.hold
    assert not master.machine.box.calls.called
    assert all(node.keepalived or (node.machine and node.machine.box.parked) for node in world.nodes)
    # Whoever the last master knew to be there talks to it now.
    for name in master.machine.box.table.lately(world.peers, world.now):
        peer = world.peers[name]
        # A box that boots alone on the floor of its disk may have been in the future: its peers wait until then.
        refuses = master.trusted and peer.newest > master.wall
        assert world.secret or refuses or not peer.reachable or peer.session == master.name, name


def test_where_neither_box_is_preferred_the_role_stays_where_it_is() -> None:
    world = settled(prefers=False)
    watch = Watch(world)
    assert world.master() is world.alpha
    world.alpha.power_cut()
    world.run(2.0, watch)
    assert world.master() is world.beta
    world.alpha.boot()
    world.run(60.0, watch)
    assert world.master() is world.beta
    assert world.alpha.machine and world.alpha.machine.report().ready
    # It is no less a standby for that.
    world.beta.plug(False)
    world.run(2.0, watch)
    assert world.master() is world.alpha
    world.beta.plug(True)
    world.run(60.0, watch)
    assert world.master() is world.alpha
    world.alpha.notify(HandoverAsked(world.now))
    world.run(10.0, watch)
    assert world.master() is world.beta
    world.run(60.0, watch)
    assert world.master() is world.beta


@SETTINGS
@given(st.lists(st.tuples(BOXES, st.sampled_from([0.0, 0.4, 1.0, 3.0])), min_size=1, max_size=4), st.booleans())
def test_both_come_up_in_any_order(starts: list[tuple[str, float]], prefers: bool) -> None:
    world = World(prefers=prefers)
    watch = Watch(world)
    for box, pause in starts:
        (world.alpha if box == "alpha" else world.beta).boot(None if pause else 1000.0)
        world.run(pause, watch)
    world.run(8.0, watch)
    assert world.master() is not None


def test_no_action_calls_anybody_before_the_first_unmute() -> None:
    world = settled()
    for node in world.nodes:
        for _, action in node.log:
            if isinstance(action, a.UnmuteTunnels):
                break
            assert not isinstance(action, a.CallPeers | a.ReAddPeers)
