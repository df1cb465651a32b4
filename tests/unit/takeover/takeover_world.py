"""Two boxes in a world of 10 ms steps: VRRP between them, a bad pair link, engines, and peers by WireGuard's rules.

Peers refuse an initiation that is not newer than the last, engines send a peer none within 5 s of the last, and a peer
talks to whoever it shook hands with last.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.core.codec import from_json, to_json
from appliance.core.pair.names import NEVER, NOT_READY, READY, UNATTENDED, UNFIT
from appliance.core.takeover import Machine, Timers
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from appliance.core.takeover.hello import Hello
from appliance.core.takeover.report import Report

STEP = 0.01
ADVERT = 0.1
ROUND_TRIP = 0.02
TIMERS = Timers()
PRIORITY = {True: {"alpha": 254, "beta": 250}, False: {"alpha": 250, "beta": 249}}
"""By whether alpha is preferred."""


@dataclass
class Keepalived:
    """VRRPv3, RFC 9568: one sync group, preempting."""

    node: Node
    state: str = ""
    down_at: float = 0.0
    advert_at: float = 0.0

    @property
    def priority(self) -> int:
        return (
            PRIORITY[self.node.world.prefers][self.node.name]
            - READY
            + self.node.fit_for
            - (0 if self.node.uplink_cable else 110)
        )

    def become(self, state: str) -> None:
        now = self.node.world.now
        if state == self.state:
            return
        self.state = state
        self.node.addresses = state == "MASTER"
        if state == "BACKUP":
            self.down_at = now + 3 * ADVERT + ADVERT * (256 - self.priority) / 256
        if state == "MASTER":
            self.advert_at = now
        self.node.notify(e.Vrrp(state, now))

    def step(self) -> None:
        now = self.node.world.now
        if not self.node.carrier or self.node.never:
            if self.state == "MASTER":
                self.node.world.advert(self.node, 0)
            self.become("FAULT")
        elif self.state in ("", "FAULT"):
            self.become("BACKUP")
        elif self.state == "BACKUP" and now >= self.down_at:
            self.become("MASTER")
        if self.state == "MASTER" and now >= self.advert_at:
            self.advert_at = now + ADVERT
            self.node.world.advert(self.node, self.priority)

    def hear(self, priority: int) -> None:
        now = self.node.world.now
        if self.state == "BACKUP":
            if priority == 0:
                self.down_at = now + ADVERT * (256 - self.priority) / 256
            elif priority >= self.priority:
                self.down_at = now + 3 * ADVERT + ADVERT * (256 - self.priority) / 256
        elif self.state == "MASTER" and priority > self.priority:
            self.become("BACKUP")
        elif self.state == "MASTER" and priority:
            self.advert_at = now
            self.node.notify(e.MasterSeenLowerPriority(now))


@dataclass
class Engine:
    """What one box's engine knows of each peer. All of it goes with a mute, but the keepalives."""

    keepalive: dict[str, int] = field(default_factory=dict)
    handshake: dict[str, float] = field(default_factory=dict)
    initiated: dict[str, float] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)


@dataclass
class PeerSide:
    reachable: bool = True
    session: str = ""
    newest: float = 0.0


@dataclass
class Node:
    world: World
    name: str
    machine: Machine | None = None
    keepalived: Keepalived | None = None
    powered: bool = False
    muted: bool = True
    leased_up: bool = False
    """The uplinks whose address is lent to both boxes, with the hardware address that both have."""
    addresses: bool = False
    carrier: bool = True
    """Of the network on which the two hear each other."""
    uplink_cable: bool = True
    """Of one that weighs."""
    gateway: bool = True
    """Its uplink leads somewhere."""
    asked: bool | None = None
    fit_for: int = NOT_READY
    unattended_since: float | None = None
    served: bool = False
    """Nothing has happened to its role since its supervisor went."""
    never: bool = False
    wall_offset: float = 1_000_000.0
    trusted: bool = True
    floor: float = 0.0
    stalled_until: float = 0.0
    stalled_at: float = 0.0
    tells_stall: bool = True
    starts: int = 0
    kept_epoch: int = 0
    kept_held: int = 0
    kept_settled: bool = True
    vrrp: str = ""
    hold: bool = False
    engine: Engine = field(default_factory=Engine)
    waiting: list[e.Event] = field(default_factory=list)
    log: list[tuple[float, a.Action]] = field(default_factory=list)
    deadline: float | None = None
    healthy_since: float = 0.0

    @property
    def silent(self) -> bool:
        """It says nothing: muted, or without the rule that comes with the virtual addresses."""
        return self.muted or (self.machine is None and not self.addresses)

    @property
    def runs(self) -> bool:
        return self.powered and self.world.now >= self.stalled_until

    @property
    def serves(self) -> bool:
        """The supervisor is there and runs."""
        return self.machine is not None and self.runs

    @property
    def wall(self) -> float:
        return self.world.now + self.wall_offset

    def report(self) -> Report:
        assert self.machine
        return self.machine.report()

    # -- what happens to it --

    def boot(self, clock: float | None = None) -> None:
        """`clock`: the battery-less clock's time; None: a synchronised one."""
        if self.powered:
            return
        self.powered = True
        self.trusted = clock is None
        self.wall_offset = (1_000_000.0 if clock is None else clock) - (0.0 if clock is None else self.world.now)
        self.start_supervisor()

    def power_cut(self) -> None:
        other = self.world.other(self)
        if self.machine and not other.muted:
            heard = other.machine.box.partner.hello if other.machine else None
            if heard is None or heard.held < self.machine.box.held:
                # Nobody is left who could say that the peers' sessions were here.
                self.world.secret = True
        self.powered = self.addresses = self.never = self.hold = False
        self.fit_for, self.unattended_since = NOT_READY, None
        self.machine = self.keepalived = None
        self.kept_epoch = self.kept_held = 0
        self.vrrp, self.stalled_until, self.waiting, self.asked = "", 0.0, [], None
        self.engine = Engine()
        self.muted = True
        self.leased_up = False

    def start_supervisor(self) -> None:
        if self.machine or not self.powered:
            return
        self.starts += 1
        self.deadline = None
        first, prefers = self.name == "alpha", self.world.prefers
        number = f"{self.name}-{self.starts}"
        self.machine = Machine(self.name, number, first and prefers, TIMERS, begins=first, holds=not prefers)
        self.unattended_since = None
        now = self.world.now
        # What it said while nobody listened waits in the FIFO, and is what the addresses say.
        self.vrrp = "MASTER" if self.addresses else "" if self.vrrp == "MASTER" else self.vrrp
        peers = tuple(e.Peer(name) for name in self.world.peers)
        self.give(e.ConfigurationChanged("digest", 1, peers, now))
        self.tell_cable()
        keepalived = self.keepalived is not None
        self.give(
            e.Started(
                now,
                self.wall,
                self.floor,
                self.trusted,
                keepalived,
                self.vrrp if keepalived else "",
                not self.muted,
                self.kept_epoch,
                self.kept_held,
                self.kept_settled,
            )
        )

    def kill_supervisor(self, away: float = 0.3) -> None:
        self.machine = None
        self.waiting, self.asked = [], None
        self.unattended_since, self.served = self.world.now, True
        self.stand_in(0.0)
        self.world.later(away, self.start_supervisor)

    def stand_in(self, away: float) -> None:
        """/usr/lib/appliance/unattended, once a second."""
        if self.keepalived is None:
            self.served = False
            if away >= 3.0:
                self.fit_for, self.addresses = UNFIT, False
                self.start_keepalived()
            return
        self.leased_up = self.addresses
        self.served = self.served and self.addresses
        if not self.served:
            self.fit_for = UNFIT
        elif away >= 10.0:
            self.fit_for = UNATTENDED

    def kill_keepalived(self, last_word: bool = False, last_breath: bool = False) -> None:
        """Its child may outlive it for a moment: it cleans up and says so, after its parent's end was noticed. Or it is
        killed half way, with the addresses gone and nobody told."""
        if last_word and self.keepalived and self.keepalived.state == "MASTER":
            self.world.advert(self, 0)
            self.addresses = False
        if last_breath:
            self.addresses = False
        self.keepalived = None
        self.healthy_since = self.world.now
        if self.powered:
            self.notify(e.KeepalivedDied(self.world.now))
            if last_word:
                self.notify(e.Vrrp(e.STOP, self.world.now))

    def stall(self, seconds: float, tells: bool) -> None:
        if self.runs:
            self.stalled_at, self.stalled_until, self.tells_stall = self.world.now, self.world.now + seconds, tells

    def plug(self, cable: bool) -> None:
        self.uplink_cable = cable
        self.tell_cable()

    def tell_cable(self) -> None:
        lost = () if self.uplink_cable else ("enp1s0",)
        self.notify(e.LinksRead(lost, self.carrier, self.world.now, deaf=not self.carrier))

    def connect(self, carrier: bool) -> None:
        """The network on which the two hear each other."""
        self.carrier = carrier
        self.tell_cable()

    # -- what it does --

    def notify(self, event: e.Event) -> None:
        if isinstance(event, e.Vrrp):
            self.vrrp = event.state
        if isinstance(event, e.KeepalivedDied):
            self.vrrp = ""
        if self.machine:
            self.waiting.append(event)

    def step(self) -> None:
        if not self.runs:
            self.healthy_since = self.world.now
            return
        if self.stalled_until:
            seconds, self.stalled_until = self.world.now - self.stalled_at, 0.0
            if self.tells_stall and self.machine:
                self.waiting.insert(0, e.Stalled(seconds, self.world.now))
        if not self.machine or not self.carrier:
            self.healthy_since = self.world.now
        if not self.machine and self.unattended_since is not None:
            away = round(self.world.now - self.unattended_since, 2)
            if away % 1.0 < STEP / 2:
                self.stand_in(away)
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            self.give(event)
        if self.machine and self.deadline is not None and self.world.now >= self.deadline:
            self.give(e.Tick(self.world.now))
        if self.keepalived:
            self.keepalived.step()

    def give(self, event: e.Event) -> None:
        if not self.machine:
            return
        object.__setattr__(event, "now", self.world.now)
        done = self.machine.handle(event)
        self.deadline = self.machine.next_deadline
        assert self.deadline is None or self.deadline > self.world.now
        for action in done:
            self.log.append((self.world.now, action))
            self.act(action)
        if self.deadline is not None:
            self.kept_held = self.machine.box.held
            self.kept_epoch = self.machine.box.epoch
            takeover = self.machine.report().takeover
            self.kept_settled = takeover is None or takeover.done
            assert self.muted == self.machine.box.muted != self.leased_up
            assert len(self.machine.box.calls.outstanding(self.world.now)) <= 64

    def act(self, action: a.Action) -> None:
        world = self.world
        match action:
            case a.MuteTunnels():
                self.muted = True
                self.leased_up = False
                self.engine.handshake, self.engine.initiated = {}, {}
                for peer in world.peers.values():
                    peer.session = "" if peer.session == self.name else peer.session
            case a.UseLeases():
                self.leased_up = True
            case a.UnmuteTunnels():
                self.muted = False
                world.later(STEP, lambda: self.notify(e.Unmuted(world.now)))
                for name, seconds in self.engine.keepalive.items():
                    if seconds:
                        self.initiate(name)
            case a.SetKeepalive(peers=peers, seconds=seconds):
                for name in peers:
                    before = self.engine.keepalive.get(name, 0)
                    self.engine.keepalive[name] = seconds
                    if seconds and not before and not self.muted:
                        self.initiate(name)
            case a.CallPeers(peers=peers, seconds=seconds):
                assert not self.muted, "called while muted"
                for name in peers:
                    self.engine.keepalive[name] = seconds
                    self.initiate(name)
            case a.ReAddPeers(peers=peers, seconds=seconds):
                assert not self.muted, "called while muted"
                for name in peers:
                    self.engine.handshake.pop(name, None)
                    self.engine.initiated.pop(name, None)
                    self.engine.keepalive[name] = seconds
                    self.initiate(name)
            case a.SetEndpoints():
                pass
            case a.HoldForward(on=on):
                self.hold = on
            case a.CommitConnections():
                world.later(0.05, lambda: self.notify(e.Committed(world.now)))
            case a.AskConnections():
                world.later(0.2, lambda: self.notify(e.ConnectionsReceived(world.now)))
            case a.TellPartner(hello=hello):
                world.send(self, hello)
            case a.SetReady(number=number):
                self.fit_for, self.never = number, number == NEVER
            case a.StepDown():
                assert not self.muted, "a standby stepped down"
                self.never = True
            case a.StartKeepalived():
                world.later(0.05, self.start_keepalived)
            case a.StopKeepalived():
                if self.keepalived:
                    if self.keepalived.state == "MASTER":
                        world.advert(self, 0)
                    self.keepalived = None
                    self.addresses = False
                    self.notify(e.KeepalivedDied(world.now))
            case a.DropVirtualAddresses():
                self.addresses = False
            case a.KeepVirtualAddresses():
                assert not self.muted
                self.addresses = self.addresses or self.keepalived is None
            case a.ReadPeers():
                world.later(STEP, lambda: self.notify(e.PeersRead(self.read(), world.now)))
            case a.AskUplinks():
                answers = {} if self.asked is None else {"wan": self.asked}
                self.waiting.append(e.UplinksRead(answers, world.now))
                self.asked = self.gateway
            case a.WriteFloor(wall=wall):
                assert wall > self.floor or self.trusted
                self.floor = wall
            case a.StepClock(wall=wall):
                if self.wall < wall:
                    self.wall_offset = wall - world.now
                world.later(STEP, lambda: self.notify(e.Clock(self.wall, self.trusted, world.now)))

    def start_keepalived(self) -> None:
        if self.powered and self.keepalived is None:
            self.keepalived = Keepalived(self)
            self.notify(e.KeepalivedStarted(self.world.now))

    def initiate(self, name: str) -> None:
        now = self.world.now
        if now - self.engine.initiated.get(name, -9.0) < 5.0 or self.world.peers[name].session == self.name:
            return
        self.engine.initiated[name] = now
        stamp = self.wall
        self.world.later(ROUND_TRIP, lambda: self.world.answer(self, name, stamp))

    def read(self) -> dict[str, e.Reading]:
        for name, peer in self.world.peers.items():
            if peer.session == self.name and not self.muted:
                self.engine.received[name] = self.engine.received.get(name, 0) + 1
        return {
            name: e.Reading(
                f"192.0.2.{position}:51820" if name in self.engine.handshake else None,
                self.engine.handshake.get(name, 0.0),
                self.engine.received.get(name, 0),
                0,
            )
            for position, name in enumerate(self.world.peers)
        }


class World:
    def __init__(
        self, fates: Callable[[], int] = lambda: 0, peers: int = 6, unreachable: int = 0, prefers: bool = True
    ) -> None:
        """`fates`: a number for each hello, of which losses, delays and doubles are made; 0 is kind. `prefers`: alpha
        is preferred."""
        self.now = 0.0
        self.prefers = prefers
        self.fates = fates
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.lost = {"alpha": 0, "beta": 0}
        self.pair = True
        self.pair_since = 0.0
        self.vrrp = True
        self.secret = False
        self.both = self.neither = self.held = 0.0
        self.peers = {f"office.p{n}": PeerSide(n >= unreachable) for n in range(peers)}
        self.alpha = Node(self, "alpha")
        self.beta = Node(self, "beta")
        self.nodes = (self.alpha, self.beta)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.queue, (self.now + seconds, self.count, what))

    def other(self, node: Node) -> Node:
        return self.beta if node is self.alpha else self.alpha

    def send(self, node: Node, hello: Hello) -> None:
        if not self.pair:
            return
        fate = self.fates()
        # Of three hellos one arrives: the properties' timers count on it.
        if fate % 4 == 3 and self.lost[node.name] < 2:
            self.lost[node.name] += 1
            return
        self.lost[node.name] = 0
        text: Any = to_json(hello)
        for copy in range(2 if fate % 5 == 4 else 1):
            self.later(0.002 + (fate % 7) * 0.02 + copy * 0.15, lambda: self.arrive(node, text))

    def arrive(self, node: Node, text: Any) -> None:
        other = self.other(node)
        if self.pair and other.machine:
            other.waiting.append(e.PartnerHello(from_json(Hello, text), self.now))

    def advert(self, node: Node, priority: int) -> None:
        self.later(STEP, lambda: self.hear(node, priority))

    def hear(self, node: Node, priority: int) -> None:
        other = self.other(node)
        if self.vrrp and node.carrier and other.carrier and other.runs and other.keepalived:
            other.keepalived.hear(priority)

    def answer(self, node: Node, name: str, stamp: float) -> None:
        peer = self.peers[name]
        if node.powered and not node.muted and peer.reachable and stamp > peer.newest:
            peer.newest = stamp
            peer.session = node.name
            node.engine.handshake[name] = node.wall

    def everybody_calls(self) -> None:
        """Each peer shakes hands with whoever is unmuted, in turn, so that their order is known."""
        for position, (name, peer) in enumerate(self.peers.items()):
            self.later(0.3 * position, lambda name=name, peer=peer: self.call(name, peer))  # type: ignore[misc]

    def call(self, name: str, peer: PeerSide) -> None:
        for node in self.nodes:
            if not node.muted and node.runs:
                peer.session = node.name
                node.engine.handshake[name] = node.wall

    def set_pair(self, up: bool) -> None:
        self.pair, self.pair_since = up, self.now

    def run(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = round(self.now + STEP, 2)
            while self.queue and self.queue[0][0] <= self.now:
                heapq.heappop(self.queue)[2]()
            for node in self.nodes:
                node.step()
            if check:
                check()

    def master(self) -> Node | None:
        found = [node for node in self.nodes if not node.silent]
        return found[0] if len(found) == 1 else None


def settled(peers: int = 6, unreachable: int = 0, fates: Callable[[], int] = lambda: 0, prefers: bool = True) -> World:
    """Both boxes up, alpha master, every peer known."""
    world = World(fates, peers, unreachable, prefers)
    world.alpha.boot()
    world.beta.boot()
    world.run(3.0)
    world.everybody_calls()
    world.run(0.3 * peers + 1.5)
    return world
