"""The pair: hands what happens to the takeover's state machine, and does what it decides."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import subprocess
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.adapters import clock, systemd, vrrp_fifo
from appliance.adapters.errors import Refused
from appliance.adapters.pair_socket import PairSocket
from appliance.adapters.pulse import Pulse
from appliance.adapters.running import Running
from appliance.core.codec import from_json, to_json
from appliance.core.lent import leases
from appliance.core.pair.names import NEVER, NOTIFY_FIFO, PROTOCOL_PORT, READY_FILE
from appliance.core.plan import engine_for
from appliance.core.state import ALONE, Desired, Observed, Pair, Role
from appliance.core.takeover import Machine as Takeover
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from appliance.core.takeover.hello import ACTIVE, SCHEMA, Hello
from appliance.shell.machine import Machine
from appliance.shell.paths import Paths
from appliance.shell.takeover import TakeoverShell
from appliance.supervisor.journal import Roles
from appliance.supervisor.keeper import Keeper
from appliance.supervisor.strangers import Strangers
from appliance.supervisor.time_floor import set_clock, stored_floor, write_floor

log = logging.getLogger("appliance.pair")

STATE = Path("/run/appliance/pair.json")
CLOCK_JUMP_SECONDS = 0.05
ASK_AGAIN_SECONDS = 0.5
NOT_MASTER = {"BACKUP", "FAULT", "STOP"}


class PairDriver:
    """One box of a pair while its configuration has `failover:` and the boxes know each other."""

    def __init__(
        self, paths: Paths, machine: Machine, keeper: Keeper, desired: Desired, wake: Callable[[], None]
    ) -> None:
        assert desired.pair is not None
        self.wake = wake
        self.heard: Callable[[], None] = lambda: None
        """Called after each hello of the partner."""
        self.remembered: dict[str, str] = {}
        """Where the peers were before this boot."""
        self.paths = paths
        self.keeper = keeper
        self.pair = desired.pair
        self.machine = machine
        self.shell = TakeoverShell(machine, desired)
        redials = desired.box > desired.pair.partner
        self.takeover = Takeover(
            desired.box,
            secrets.token_hex(8),
            desired.pair.preferred,
            redials=redials,
            begins=desired.pair.begins,
            holds=desired.pair.holds,
        )
        self.socket = PairSocket(self.pair.own, self.pair.partner_address, PROTOCOL_PORT, self._datagram)
        self.fifo = vrrp_fifo.VrrpFifo(Path(NOTIFY_FIFO))
        self.strangers = Strangers(self._stranger)
        self.roles = Roles()
        self.queue: deque[e.Event] = deque()
        self.running = Running()
        self.links: e.LinksRead | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.clock = clock.read()
        self.pulse = Pulse()
        self.handling = False
        self.unheld = asyncio.Event()
        """No takeover holds packets back."""
        self.unheld.set()
        self.state = _stored()
        self.started = False
        self.attended = False
        self.closed = False
        self.ruleset = ""
        """The table that was seen last: a new one has nothing in its maps."""

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self, desired: Desired, generation: int) -> None:
        """Takes the box as it is: booting, or at work with a supervisor that was killed."""
        loop = asyncio.get_running_loop()
        unmuted = not self.keeper.role.muted
        loop.add_reader(self.fifo.descriptor, self._fifo)
        self.keeper.seen_by = self._seen
        await self.socket.open()
        running = systemd.main_pid(systemd.VRRP_UNIT)
        master = bool(running) and self.shell.has_role()
        stored = str(self.state.get("vrrp", "")) if running else ""
        if running:
            vrrp_fifo.watch_process(running, self._keepalived_died)
        systemd.start(systemd.CONNTRACKD_UNIT)
        self.configured(desired, generation)
        # How long all that took is nobody's standing still.
        self.pulse.start()
        self.started = True
        self.shell.new_engines()
        self.clock = clock.read()
        self.handle(
            e.Started(
                now=self.clock.now,
                wall=self.clock.wall,
                floor=stored_floor(self.paths),
                trusted=self.clock.trusted,
                keepalived=bool(running),
                vrrp="MASTER" if master else "" if stored == "MASTER" else stored,
                unmuted=unmuted,
                epoch=int(self.state.get("epoch", 0)),
                held=int(self.state.get("held", 0)),
                settled=bool(self.state.get("settled", True)),
                given_away=bool(self.state.get("given_away", False)),
                remembered=self.remembered,
            )
        )

    def attend(self) -> None:
        """The supervisor is ready. Until then what stood in for it has the word, and may have spoken last."""
        self.attended = True
        if (number := self.takeover.box.said) is not None:
            self._do(a.SetReady(number))

    def close(self) -> None:
        """The configuration has no pair any more, or another one: the role, its addresses and daemons go."""
        self.closed = True
        self.unheld.set()
        self.keeper.seen_by = lambda observed: None
        self.pulse.close()
        self._store(given_away=False)
        self.fifo.close()
        self.strangers.close()
        self.running.close()
        if self.timer:
            self.timer.cancel()
        for end in (
            self.shell.stop_keepalived,
            lambda: Path(READY_FILE).unlink(missing_ok=True),
            lambda: systemd.stop(systemd.CONNTRACKD_UNIT),
            lambda: self.shell.hold_forward(False),
        ):
            with contextlib.suppress(Refused, OSError):
                end()
        self.socket.close()
        self.keeper.role = ALONE

    def serves(self, desired: Desired) -> bool:
        """Whether this driver is the one for that configuration, or another must be made."""
        pair = desired.pair
        return pair is not None and _identity(pair) == _identity(self.pair)

    def configured(self, desired: Desired, generation: int) -> None:
        """Another configuration is running; `generation` is the confirmed one."""
        assert desired.pair is not None
        self.pair = desired.pair
        self.shell.use(desired)
        self.strangers.follow(desired)
        observed = self.keeper.observe()
        peers = tuple(
            e.Peer(peer.name, peer.keepalive, engine_for(tunnel, observed))
            for tunnel in desired.tunnels
            if tunnel.moves
            for peer in tunnel.peers
        )
        self.handle(e.ConfigurationChanged(desired.digest, generation, peers, time.monotonic()))
        self.network_changed()

    def _seen(self, observed: Observed) -> None:
        """The box was looked at. What is lent to it the partner is to know; nothing else tells of a lease."""
        if observed.ruleset != self.ruleset:
            self.ruleset = observed.ruleset
            self.shell.fill_map()
        self.handle(e.LeasesRead(leases(self.shell.desired, observed), time.monotonic()))

    # -- what happens -------------------------------------------------------------------------------------------------

    def _fifo(self) -> None:
        """`INSTANCE "lan-ipv4" MASTER 254` and the like; of several only the last counts."""
        state = ""
        for line in self.fifo.lines():
            words = [word.strip('"') for word in line.split()]
            if len(words) < 3:
                continue
            if words[2] == "MASTER" and tuple(words[:2]) == self.pair.role_line:
                state = "MASTER"
            elif words[2] in NOT_MASTER:
                state = words[2]
            elif words[2] == "MASTER_RX_LOWER_PRI":
                self.handle(e.MasterSeenLowerPriority(time.monotonic()))
        if state:
            log.info("VRRP: %s", state, extra={"VRRP": state})
            self.handle(e.Vrrp(state, time.monotonic()))
            self._store(vrrp=state)

    def _datagram(self, message: dict[str, Any]) -> None:
        schema = message.get("schema")
        if isinstance(schema, int) and schema != SCHEMA:
            self.handle(e.PartnerForeign(schema, time.monotonic()))
            return
        try:
            hello = from_json(Hello, message)
        except (KeyError, TypeError, ValueError):
            log.warning("the other box says something that this version does not understand")
            return
        self.handle(e.PartnerHello(hello, time.monotonic()))
        self.heard()

    def whereabouts(self) -> dict[str, str]:
        """Where the peers are, as the master knows or has told."""
        return self.takeover.whereabouts(time.monotonic())

    def _stranger(self, network: str, source: str, router_id: int) -> None:
        self.handle(e.StrangerAdvert(network, source, router_id, time.monotonic()))

    def for_update(self) -> dict[str, Any]:
        """Who the two are, and whether the one that is not master could be (core/turns.py)."""
        hello = self.partner_hello()
        return {
            "box": self.takeover.box.name,
            "partner": self.pair.partner,
            "own": self.pair.own,
            "address": self.pair.partner_address,
            "muted": self.keeper.role.muted,
            "able": bool(self.takeover.box.able),
            "heard": hello is not None,
            "master": hello is not None and hello.role == ACTIVE,
            "ready": hello is not None and hello.ready,
        }

    def partner_hello(self) -> Hello | None:
        """What the partner said last, None while it is not heard."""
        partner = self.takeover.box.partner
        return partner.hello if partner.alive else None

    def _keepalived_died(self) -> None:
        if self.closed:
            return
        # What it said before comes first, in whichever order the loop noticed the two.
        self._fifo()
        self.handle(e.KeepalivedDied(time.monotonic()))

    def _tick(self) -> None:
        self._look_at_the_clock()
        self.handle(e.Tick(time.monotonic()))

    def _look_at_the_clock(self) -> None:
        """A system call with every tick: whoever sets a clock tells nobody."""
        found = clock.read()
        if found.trusted != self.clock.trusted or abs(found.offset - self.clock.offset) > CLOCK_JUMP_SECONDS:
            self.clock = found
            self.handle(e.Clock(found.wall, found.trusted, found.now))

    def _step_clock(self, wall: float) -> None:
        stuck = not set_clock(wall)
        self.clock = clock.read()
        self.queue.append(e.Clock(self.clock.wall, self.clock.trusted, self.clock.now, stuck))

    def network_changed(self) -> None:
        """The kernel announced a change, of whatever kind. A lost link is not to wait for the keeper's look."""
        lost = tuple(device for device in self.pair.weighing if not self.running(device))
        hears = [self.running(hearing.device) for hearing in self.pair.hearing]
        found = e.LinksRead(lost, all(hears), time.monotonic(), deaf=not any(hears))
        known = self.links
        if known and (found.lost, found.deaf) == (known.lost, known.deaf):
            return
        if lost != (known.lost if known else ()):
            log.info("no link: %s", " ".join(lost) or "on none any more", extra={"LOST": " ".join(lost)})
        self.links = found
        self.handle(found)

    def repaired(self) -> None:
        """After each look of the keeper: an engine that was started again has its peers by now, and no sessions."""
        self.strangers.follow(self.shell.desired)
        if not self.keeper.role.muted and self.takeover.box.vrrp == "MASTER":
            with contextlib.suppress(Refused, OSError):
                self.shell.keep_voice()
        for tunnel in self.shell.new_engines():
            log.info("the engine of %s is another one; its peers are called", tunnel)
            self.handle(e.EngineStarted(tunnel, time.monotonic()))

    async def released(self) -> None:
        """Waits while a takeover holds packets back, half a second at the most: whoever reads the whole machine
        meanwhile is in its way."""
        await self.unheld.wait()

    def handover(self, forgive: bool = False) -> str:
        """`forgive` as in HandoverAsked. Returns what stands against it; "" where the other box was asked."""
        self.handle(e.HandoverAsked(time.monotonic(), forgive))
        return self.takeover.box.notes.get("handover", "")

    def handle(self, event: e.Event) -> None:
        """One event after another: an action may answer with one."""
        if self.closed:
            return
        if self.handling:
            self.queue.append(event)
            return
        now = time.monotonic()
        if self.started and (stood := self.pulse.missed()) >= self.takeover.box.timers.stall:
            # Nothing ran for so long: what waited in the sockets meanwhile is old. A supervisor that was busy with its
            # own work is another thing: keepalived went on, so nobody took over, and to ask would be more work.
            log.warning("this box stood still for %.2f s", stood)
            self.queue.append(e.Stalled(stood, now))
        self.queue.append(event)
        self.handling = True
        try:
            while self.queue:
                for action in self.takeover.handle(self.queue.popleft()):
                    self._do(action)
        finally:
            self.handling = False
            if self.takeover.box.hold_until is None:
                self.unheld.set()
            else:
                self.unheld.clear()
            self._role()
            self._arm()

    def _arm(self) -> None:
        """The next deadline; whatever went wrong meanwhile, there is one."""
        if self.timer:
            self.timer.cancel()
        deadline = self.takeover.next_deadline
        delay = 1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        self.timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _role(self) -> None:
        if not self.started:
            return
        report = self.takeover.report()
        self.roles.look(report)
        calling = bool(report.takeover and not report.takeover.done and not report.muted)
        if calling == self.state.get("settled", True):
            self._store(settled=not calling)
        if self.takeover.box.given_away != self.state.get("given_away", False):
            self._store(given_away=self.takeover.box.given_away)
        role = Role(report.muted, calling)
        if role != self.keeper.role:
            self.keeper.role = role
            self.wake()

    # -- what is done -------------------------------------------------------------------------------------------------

    def _do(self, action: a.Action) -> None:
        try:
            self._carry_out(action)
        except (Refused, OSError) as error:
            log.error("%s: %s", type(action).__name__, error)
        except Exception:
            log.exception("%s met an error of its own", type(action).__name__)
        else:
            return
        # What was left undone is the next look's to put right.
        self.wake()

    def _carry_out(self, action: a.Action) -> None:
        now = time.monotonic
        match action:
            case a.MuteTunnels():
                self.keeper.role = Role(muted=True)
                self.wake()
                self.shell.mute()
            case a.UnmuteTunnels():
                self.keeper.role = Role(calling=True)
                self.wake()
                self.queue.append(e.Unmuted(now()))
                self.shell.unmute()
            case a.UseLeases(leases=leases):
                self.shell.use_leases(leases)
            case a.NoteLeases(leases=leases):
                self.shell.note_leases(leases)
            case a.SetKeepalive(peers=peers, seconds=seconds):
                self.shell.set_keepalive(peers, seconds)
            case a.CallPeers(peers=peers, seconds=seconds):
                self.shell.call(peers, seconds)
            case a.ReAddPeers(peers=peers, seconds=seconds):
                self.shell.re_add(peers, seconds)
            case a.CallPartner():
                self.shell.call_partner()
            case a.SetEndpoints(endpoints=endpoints):
                self.shell.set_endpoints(endpoints)
            case a.AddTunnelRoutes():
                known = self.takeover.box.table.known
                self.shell.add_tunnel_routes({name: each.active for name, each in known.items()})
            case a.AskRouter():
                self.shell.ask_routers()
            case a.AskUplinks():
                answers, learned = self.shell.uplinks_answer(), self.shell.learned()
                self.queue.append(e.UplinksRead(answers, now(), learned, learned & self.shell.dialled.keys()))
                self.shell.ask_uplinks()
            case a.HoldForward(on=on):
                self.shell.hold_forward(on)
            case a.CommitConnections():
                self._conntrackd("-c", "-f", "-R", then=lambda: e.Committed(now()))
            case a.AskConnections():
                self._ask_connections()
            case a.SendConnections():
                self._conntrackd("-B")
            case a.TellPartner(hello=hello):
                self.socket.send(to_json(hello))
                if (hello.epoch, hello.held) != (self.state.get("epoch"), self.state.get("held")):
                    self._store(epoch=hello.epoch, held=hello.held)
            case a.SetReady(number=number):
                if self.attended:
                    self.shell.set_ready(number)
            case a.StepDown():
                self.shell.set_ready(NEVER)
            case a.StartKeepalived():
                pid, master = self.shell.start_keepalived()
                if pid:
                    vrrp_fifo.watch_process(pid, self._keepalived_died)
                self.queue.append(e.KeepalivedStarted(now()) if pid else e.KeepalivedDied(now()))
                if pid and master:
                    # appliance-unattended.service started it, and it will not say again what it is.
                    self.queue.append(e.Vrrp("MASTER", now()))
            case a.StopKeepalived():
                self.shell.stop_keepalived()
            case a.DropVoice():
                self.shell.drop_voice()
            case a.DropVirtualAddresses():
                self.shell.drop_virtual_addresses()
            case a.KeepVirtualAddresses():
                self.shell.keep_virtual_addresses()
            case a.KeepVirtualRoutes():
                self.shell.keep_virtual_routes()
            case a.Announce():
                self.shell.announce()
            case a.ReadPeers():
                self.queue.append(e.PeersRead(self.shell.readings(), now()))
            case a.WriteFloor(wall=wall):
                write_floor(self.paths, wall)
            case a.StepClock(wall=wall):
                self._step_clock(wall)
            case a.Note(topic=topic, text=text):
                if text:
                    log.info("%s", text, extra={"TOPIC": topic})

    def _conntrackd(self, option: str, *more: str, then: Callable[[], e.Event] | None = None) -> None:
        """In the background, since committing takes a while with many connections; but begun at once.

        The event, if any, follows the first call: the rest is for the next takeover, and nobody waits for it.
        """
        child = self.shell.conntrackd(option)

        def ended() -> None:
            if child and child.wait():
                log.warning("`conntrackd %s` failed; see `journalctl -u appliance-conntrackd`", option)
            if then:
                self.handle(then())
            if more and not self.closed:
                self._conntrackd(*more)

        _when_ended(child, ended)

    def _ask_connections(self) -> None:
        """Until the daemon has taken the question: it may be starting, as the box is. After Timers.connections the
        takeover no longer waits for the answer, and says so."""
        child = self.shell.conntrackd("-n")

        def ended() -> None:
            if child is None or child.wait() == 0:
                self.handle(e.ConnectionsReceived(time.monotonic()))
            elif not self.closed and self.takeover.box.connections_until is not None:
                asyncio.get_running_loop().call_later(ASK_AGAIN_SECONDS, self._ask_connections)

        _when_ended(child, ended)

    def stopping(self) -> None:
        """This supervisor ends. If the whole box does, a device that has the other box's hardware address does not stay
        up. systemd is asked where there is one only: that takes 25 ms, in which the role may have to go."""
        if self.shell.uplinks and systemd.shutting_down():
            self.shell.mute()

    def _store(self, **values: object) -> None:
        self.state.update(values)
        temporary = STATE.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(self.state))
            temporary.replace(STATE)
        except OSError as error:
            log.warning("%s cannot be written: %s", STATE, error.strerror)

    def report(self) -> dict[str, Any]:
        """For `status`."""
        return dict(to_json(self.takeover.report()))


def _when_ended(child: subprocess.Popen[bytes] | None, then: Callable[[], None]) -> None:
    """Calls `then` when the program has ended, or soon where there is none."""
    if child:
        vrrp_fifo.watch_process(child.pid, then)
    else:
        asyncio.get_running_loop().call_soon(then)


def _identity(pair: Pair) -> tuple[object, ...]:
    """What a driver is made for."""
    return pair.own, pair.partner_address, pair.partner, pair.preferred, pair.begins, pair.holds


def _stored() -> dict[str, Any]:
    """What a supervisor that was killed had last written down; a boot empties the folder."""
    try:
        return dict(json.loads(STATE.read_text()))
    except (OSError, ValueError):
        return {}


def role_at_start(machine: Machine, desired: Desired) -> Role:
    """Muted from the first instant, unless a supervisor before this one had the box at work."""
    if desired.pair is None:
        return ALONE
    links = machine.netlink.links()
    # A lent line may have been brought up by what stands in for a supervisor, which leaves the tunnels alone.
    moving = [tunnel.device for tunnel in desired.tunnels if tunnel.moves]
    moving = moving or [uplink.device for uplink in desired.leased]
    at_work = TakeoverShell(machine, desired).is_master() and any(links[d].up for d in moving if d in links)
    return Role(muted=not at_work)
