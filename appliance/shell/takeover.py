"""Carries out what the takeover decides (core/takeover/actions.py) with the adapters, quickest first.

These are the same changes that a plan would make; they are made here because a takeover counts milliseconds. The plan
that follows reads everything back.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from appliance.adapters import conntrack, systemd
from appliance.adapters.engine import Engine, KeyedChange
from appliance.adapters.errors import Refused
from appliance.adapters.neighbours import advertise
from appliance.adapters.pppoe import open_sessions, terminate
from appliance.core.in_force import behind, in_force
from appliance.core.pair.names import (
    CONNTRACKD_FILE,
    LEASED_MAP,
    PAIR_NAME,
    READY_FILE,
    VIRTUAL_TABLE,
)
from appliance.core.plan import running_engine
from appliance.core.state import (
    KERNEL,
    Desired,
    DesiredPeer,
    DesiredTunnel,
    Lease,
    LeasedUplink,
    Observed,
    ObservedDevice,
    ObservedPeer,
    Route,
    Rule,
)
from appliance.core.steps import PeerChange
from appliance.core.takeover.events import Reading
from appliance.shell.machine import Machine
from appliance.shell.proof import send

log = logging.getLogger("appliance.takeover")

HOLD = "table inet appliance_hold"
_RELEASE_TEXT = f"{HOLD}\ndelete {HOLD}\n"
HOLD_TEXT = f"""{_RELEASE_TEXT}{HOLD} {{
    set held {{
        typeof meta nfproto
        flags timeout
        elements = {{ ipv4 timeout 600ms, ipv6 timeout 600ms }}
    }}
    chain forward {{
        type filter hook forward priority -350; policy accept;
        meta nfproto @held drop
    }}
}}
"""
"""Ends by itself, a moment after Timers.hold: a supervisor that dies within it must not leave the office cut off."""


def _seen(peer: DesiredPeer, used: Mapping[str, float]) -> ObservedPeer:
    return ObservedPeer(peer.public_key, frozenset(), None, 0, "", used.get(peer.name, 0.0))


@dataclass(slots=True)
class Asked:
    """A gateway that was asked; by the program, or by the kernel. `looked_for`: from the card's own address, which not
    every provider answers."""

    device: str
    gateway: str
    program: subprocess.Popen[bytes] | None = None
    looked_for: bool = False


class TakeoverShell:
    """Knows the tunnels that move with the role; the pair link itself does not."""

    def __init__(self, machine: Machine, desired: Desired) -> None:
        self.machine = machine
        self.leases: tuple[Lease, ...] = ()
        self.hidden: dict[str, str] = {}
        """By device, the IPv4 address that connections were hidden behind last."""
        self.asked: dict[str, list[Asked]] = {}
        self.answered: set[str] = set()
        """The gateways that have ever answered a card's own address."""
        self.numbers: dict[str, int] = {}
        """The numbers of the interfaces that were seen last, by their names."""
        self.kinds: dict[str, tuple[int, str]] = {}
        """By name, an interface's number and what runs it."""
        self.announcing: list[subprocess.Popen[bytes]] = []
        """What says for a second that the virtual addresses are here; killed when they are not."""
        self.use(desired)

    def use(self, desired: Desired) -> None:
        """Takes over another configuration."""
        self.desired = desired
        self.uplinks = {uplink.name: uplink for uplink in desired.leased}
        self.dialled = {session.name: session.device for session in desired.sessions}
        self.tunnels = [tunnel for tunnel in desired.tunnels if tunnel.moves]
        self.peers = {peer.name: (tunnel, peer) for tunnel in self.tunnels for peer in tunnel.peers}

    def engine(self, tunnel: DesiredTunnel) -> tuple[Engine, bool] | None:
        """What runs the tunnel now, and whether it is the kernel; None when its interface is not there."""
        try:
            number = socket.if_nametoindex(tunnel.device)
            known, kind = self.kinds.get(tunnel.device, (0, ""))
            if known != number:
                # An interface never becomes another kind, and its number is not given again.
                kind = running_engine(self.machine.netlink.kind(tunnel.device))
                self.kinds[tunnel.device] = number, kind
        except (Refused, OSError):
            return None
        return self.machine.engines[kind], kind == KERNEL

    # -- tunnels ------------------------------------------------------------------------------------------------------

    def mute(self) -> None:
        """Every leased uplink and moving tunnel down; a userspace engine forgets its sessions with its peers.

        The provider is told that a PPPoE session has ended: with it alive he might refuse the other box one.
        """
        # Its second word would come when the other box has the addresses, and take the office's packets from it.
        for program in self.announcing:
            program.kill()
        self.announcing = []
        with contextlib.suppress(OSError):
            self._end_sessions((each.device, each.provider, each.number) for each in open_sessions())
        for uplink in self.uplinks.values():
            with contextlib.suppress(Refused, OSError):
                self.machine.netlink.set_link(uplink.device, up=False)
        for tunnel in self.tunnels:
            with contextlib.suppress(Refused, OSError):
                self.machine.netlink.set_link(tunnel.device, up=False)
        for tunnel in self.tunnels:
            found = self.engine(tunnel)
            if found and not found[1]:
                with contextlib.suppress(Refused, OSError):
                    self._re_add(tunnel, found[0], tunnel.peers, 0)
        for session in self.desired.sessions:
            with contextlib.suppress(Refused, OSError):
                self.machine.sessions.stop_later(session.device)

    def unmute(self) -> None:
        """All that can be; an engine that just died is the next look's."""
        for tunnel in self.tunnels:
            with contextlib.suppress(Refused, OSError):
                self.machine.netlink.set_link(tunnel.device, up=True)

    def add_tunnel_routes(self, active: Mapping[str, float]) -> None:
        """`active`: when each peer last was, in seconds of some clock. It says which of the box's two keys a peer uses
        while one is replaced; the engines here have not shaken hands yet."""
        devices = {tunnel.device for tunnel in self.tunnels}
        replaced = any(tunnel.replaced_by for tunnel in self.tunnels)
        # Of 1,000 peers it takes milliseconds to find out, and a takeover counts them.
        routes = self._led(active) if replaced else self.desired.routes
        self.machine.netlink.add_routes([route for route in routes if route.device in devices])

    def _led(self, active: Mapping[str, float]) -> tuple[Route, ...]:
        """All routes, each peer's by the interface whose key it used last."""
        last: dict[str, float] = {}
        for name, at in active.items():
            last[behind(name)] = max(at, last.get(behind(name), 0.0))
        used = {name: at for name, at in active.items() if at == last[behind(name)]}
        seen = {
            tunnel.device: ObservedDevice("", 0, 0, {peer.public_key: _seen(peer, used) for peer in tunnel.peers})
            for tunnel in self.tunnels
        }
        return in_force(self.desired, Observed(devices=seen)).routes

    def set_keepalive(self, names: Iterable[str], seconds: int) -> None:
        for tunnel, peers in self._by_tunnel(names):
            found = self.engine(tunnel)
            if found:
                changes = [PeerChange(peer.name, peer.public_key, keepalive=seconds) for peer in peers]
                found[0].set_peers(tunnel.device, [KeyedChange(change, None) for change in changes], [])

    def call(self, names: Sequence[str], seconds: int) -> None:
        self.set_keepalive(names, 0)
        self.set_keepalive(names, seconds)

    def re_add(self, names: Sequence[str], seconds: int) -> None:
        for tunnel, peers in self._by_tunnel(names):
            found = self.engine(tunnel)
            if found:
                self._re_add(tunnel, found[0], peers, seconds)

    def call_partner(self) -> None:
        for tunnel in self.desired.tunnels:
            found = self.engine(tunnel) if tunnel.name == PAIR_NAME else None
            if found:
                self._re_add(tunnel, found[0], tunnel.peers, tunnel.peers[0].keepalive)

    def _re_add(self, tunnel: DesiredTunnel, engine: Engine, peers: Sequence[DesiredPeer], seconds: int) -> None:
        state = engine.read(tunnel.device)
        if state is None:
            return
        present = [peer for peer in peers if peer.public_key in state.peers]
        changes = []
        for peer in present:
            key = self.machine.keys.preshared_key(peer.preshared_key) if peer.preshared_key else None
            now = state.peers[peer.public_key]
            # Its addresses as the engine has them: while keys are being replaced they are not those of the file.
            ips = tuple(sorted(now.allowed_ips))
            change = PeerChange(peer.name, peer.public_key, True, ips, True, None, now.endpoint, seconds)
            changes.append(KeyedChange(change, key))
        engine.set_peers(tunnel.device, [], [peer.public_key for peer in present])
        engine.set_peers(tunnel.device, changes, [])

    def set_endpoints(self, endpoints: Mapping[str, str]) -> None:
        for tunnel, peers in self._by_tunnel(endpoints):
            found = self.engine(tunnel)
            if found:
                changes = [PeerChange(peer.name, peer.public_key, endpoint=endpoints[peer.name]) for peer in peers]
                found[0].set_peers(tunnel.device, [KeyedChange(change, None) for change in changes], [])

    def _by_tunnel(self, names: Iterable[str]) -> list[tuple[DesiredTunnel, list[DesiredPeer]]]:
        found: dict[str, tuple[DesiredTunnel, list[DesiredPeer]]] = {}
        for name in names:
            if name in self.peers:
                tunnel, peer = self.peers[name]
                found.setdefault(tunnel.name, (tunnel, []))[1].append(peer)
        return list(found.values())

    def new_engines(self) -> list[str]:
        """The tunnels whose engine is another one than before, and has its peers: it made another interface."""
        new = []
        for tunnel in self.tunnels:
            with contextlib.suppress(Refused, OSError):
                number = socket.if_nametoindex(tunnel.device)
                before = self.numbers.get(tunnel.device)
                running = self.engine(tunnel) if number != before else None
                state = running[0].read(tunnel.device) if running else None
                if state and state.peers:
                    self.numbers[tunnel.device] = number
                    new += [tunnel.name] if before else []
        return new

    def readings(self) -> dict[str, Reading]:
        """Every peer of the moving tunnels as its engine has it."""
        found = {}
        for tunnel in self.tunnels:
            running = self.engine(tunnel)
            state = running[0].read(tunnel.device) if running else None
            present = state.peers if state else {}
            for peer in tunnel.peers:
                if one := present.get(peer.public_key):
                    found[peer.name] = Reading(one.endpoint, one.last_handshake, one.received, one.sent)
        return found

    # -- leases -------------------------------------------------------------------------------------------------------

    def use_leases(self, leases: Sequence[Lease]) -> None:
        """Up, which has networkd ask; until it is answered, what the partner had is here already."""
        netlink = self.machine.netlink
        for uplink in self.uplinks.values():
            with contextlib.suppress(Refused, OSError):
                netlink.set_link(uplink.device, up=True)
        known = self._known(leases)
        self._end_sessions((uplink.device, each.gateway, each.session) for each, uplink in known if each.session)
        for lease, uplink in known:
            if lease.session:
                continue
            with contextlib.suppress(Refused, OSError):
                netlink.lend_address(uplink.device, lease.address, lease.seconds)
                if lease.gateway:
                    netlink.lend_default(uplink.device, lease.gateway, lease.address, uplink.metric)
                    destination = "::/0" if ":" in lease.gateway else "0.0.0.0/0"
                    way = Route(destination, uplink.device, VIRTUAL_TABLE, lease.gateway, uplink.metric)
                    netlink.add_routes([way])

    def _end_sessions(self, found: Iterable[tuple[str, str, int]]) -> None:
        """Those over leased uplinks, each (device, provider, number)."""
        leased = {uplink.device for uplink in self.uplinks.values()}
        for device, provider, number in found:
            if device in leased:
                with contextlib.suppress(OSError, ValueError):
                    terminate(device, provider, number)

    def note_leases(self, leases: Sequence[Lease]) -> None:
        """What is hidden behind a lease is hidden behind this one from now on; what was behind another one ends."""
        self.leases = tuple(leases)
        self.fill_map()
        for device, address in self._lent(leases).items():
            # A line that was down for a while has no address then, and may come back with another one.
            before, self.hidden[device] = self.hidden.get(device, address), address
            if before != address:
                with contextlib.suppress(Refused):
                    conntrack.forget_address(before)

    def fill_map(self) -> None:
        """Again whenever the table may be a new one. It has no such map where nothing hides behind a lease."""
        held = ", ".join(f'"{device}" : {address}' for device, address in sorted(self._lent(self.leases).items()))
        more = f"add element inet appliance {LEASED_MAP} {{ {held} }}" if held else ""
        if self.uplinks:
            with contextlib.suppress(Refused):
                self.machine.nft.run(f"flush map inet appliance {LEASED_MAP}\n{more}")

    def _known(self, leases: Iterable[Lease]) -> list[tuple[Lease, LeasedUplink]]:
        return [(lease, self.uplinks[lease.uplink]) for lease in leases if lease.uplink in self.uplinks]

    def _lent(self, leases: Iterable[Lease]) -> dict[str, str]:
        """IPv4 addresses by device: of a lease, or of a PPPoE session."""
        return {
            self.dialled.get(uplink.name, uplink.device): lease.address.split("/")[0]
            for lease, uplink in self._known(leases)
            if "." in lease.address
        }

    # -- connections and neighbours -----------------------------------------------------------------------------------

    def conntrackd(self, *options: str) -> subprocess.Popen[bytes] | None:
        """A word to the daemon (conntrackd(8)), in the background; None where there is no such program."""
        return self._background("conntrackd", "-C", CONNTRACKD_FILE, *options)

    def hold_forward(self, on: bool) -> None:
        self.machine.nft.run(HOLD_TEXT if on else _RELEASE_TEXT)

    def ask_routers(self) -> None:
        """One ordinary question per router, in the background: the asking is what counts, not the answer."""
        pair = self.desired.pair
        asked = [(router.virtual, router.device, router.gateway) for router in (pair.routers if pair else ())]
        asked += [
            (lease.address.split("/")[0], uplink.device, lease.gateway)
            for lease, uplink in self._known(self.leases)
            if lease.address and not lease.session
        ]
        for source, device, gateway in asked:
            if gateway and ":" not in gateway:
                self._background("arping", "-q", "-c", "1", "-w", "1", "-s", source, "-I", device, gateway)

    def uplinks_answer(self) -> dict[str, bool]:
        """By uplink, whether any of its gateways has answered since ask_uplinks. Those that never answer a card's own
        address say nothing about the line."""
        found: dict[str, bool] = {}
        for name, asked in self.asked.items():
            answers = {each.gateway for each in asked if self._answers(each)}
            # A master's own packets have led to an answer, too, but to another address.
            self.answered |= {
                each.gateway for each in asked if each.looked_for and each.gateway in answers and self._away(each)
            }
            if any(not each.looked_for or each.gateway in self.answered for each in asked):
                found[name] = bool(answers)
        self.asked = {}
        return found

    def ask_uplinks(self) -> None:
        """Each gateway once: the kernel asks, or arping where only a virtual IPv4 address leads there, and is away.

        The gateway of a lease, too, where the lease is: on a box whose device for it is up.
        """
        netlink = self.machine.netlink
        learned = self._learned()
        for uplink in self.desired.uplinks:
            for gateway in (*uplink.gateways, *learned.get(uplink.name, ())):
                asked = Asked(uplink.device, gateway)
                if ip_address(gateway).is_link_local or netlink.way_to(gateway) == uplink.device:
                    if not netlink.ask_neighbour(uplink.device, gateway):
                        send(gateway, uplink.device)
                elif ":" not in gateway:
                    # In the name of nobody (RFC 5227 section 2.1.1); arping -D ends with 1 when it is answered.
                    asked.program = self._background(
                        "arping", "-q", "-D", "-c", "1", "-w", "1", "-I", uplink.device, gateway
                    )
                else:
                    asked.looked_for = True
                    if not netlink.ask_neighbour(uplink.device, gateway):
                        netlink.look_for_neighbour(uplink.device, gateway)
                self.asked.setdefault(uplink.name, []).append(asked)

    def learned(self) -> frozenset[str]:
        """The uplinks whose gateway a lease names."""
        return frozenset(uplink.name for uplink in self.desired.uplinks if uplink.name in self.uplinks)

    def _learned(self) -> dict[str, list[str]]:
        """By uplink, the gateways of the leases that this box has. Way on and lease are there together, or neither."""
        found: dict[str, list[str]] = {}
        for lease, uplink in self._known(self.leases):
            if lease.gateway and not lease.session and self.machine.netlink.way_to(lease.gateway) == uplink.device:
                found.setdefault(uplink.name, []).append(lease.gateway)
        return found

    def _away(self, asked: Asked) -> bool:
        """Whether no address of this box leads there."""
        return self.machine.netlink.way_to(asked.gateway) != asked.device

    def _answers(self, asked: Asked) -> bool:
        if asked.program is not None:
            return asked.program.poll() == 1
        return self.machine.netlink.neighbour_answers(asked.device, asked.gateway)

    def announce(self) -> None:
        """IPv4 twice, a second apart: a neighbour that missed the first hears the second. IPv6 once, and as often as
        keepalived says it anew."""
        pair = self.desired.pair
        mine = [(one.device, one.address.split("/")[0]) for one in (pair.virtual_addresses if pair else ())]
        self.announcing = [program for program in self.announcing if program.poll() is None]
        for device, address in (*mine, *self._lent(self.leases).items()):
            # A session has nobody to tell: its other end is the only one there is.
            if ":" in address:
                with contextlib.suppress(Refused):  # it has just gone again
                    advertise(device, address)
            elif device not in self.dialled.values():
                program = self._background("arping", "-q", "-U", "-c", "2", "-w", "2", "-I", device, address)
                self.announcing += [program] if program else []

    def drop_voice(self) -> None:
        for rule in self._voice():
            with contextlib.suppress(Refused):
                self.machine.netlink.delete_virtual_rule(rule)

    def drop_virtual_addresses(self) -> None:
        self.drop_voice()
        pair = self.desired.pair
        for virtual in pair.virtual_addresses if pair else ():
            with contextlib.suppress(Refused):
                self.machine.netlink.delete_address(virtual.device, virtual.address)

    def keep_virtual_addresses(self) -> None:
        """As keepalived had set them, where it is gone altogether and did not leave them.

        The kernel takes IPv4 routes of the main table away with their source, and of IPv6 ones the source.
        """
        pair, netlink = self.desired.pair, self.machine.netlink
        if pair is None or systemd.acts(systemd.VRRP_UNIT):
            return
        added = [each.address for each in pair.virtual_addresses if netlink.add_virtual_address(each)]
        if added:
            log.info("keepalived ended and took %s with it; put back", ", ".join(added))
            self.keep_virtual_routes()
        self.keep_voice()

    def has_virtual_addresses(self) -> bool:
        """Whether any of them is here; IPv6 ones may have gone with a link."""
        pair, links = self.desired.pair, self.machine.netlink.links()
        found = {(name, address) for name, link in links.items() for address in link.addresses}
        return pair is not None and any((one.device, one.address) in found for one in pair.virtual_addresses)

    def keep_voice(self) -> None:
        """The master's rules, where something took them: a reload in which keepalived gave them to another instance
        removes them at last (2.3.3), or a hand."""
        missing = self._voice() - self.machine.netlink.virtual_rules()
        for rule in missing if missing and self.has_virtual_addresses() else ():
            with contextlib.suppress(Refused):
                self.machine.netlink.add_virtual_rule(rule)

    def _voice(self) -> set[Rule]:
        return set(self.desired.pair.voice) if self.desired.pair else set()

    def keep_virtual_routes(self) -> None:
        for route in self.desired.pair.virtual_routes if self.desired.pair else ():
            with contextlib.suppress(Refused):  # its link has just gone again
                self.machine.netlink.add_virtual_route(route)

    def _background(self, *command: str) -> subprocess.Popen[bytes] | None:
        nowhere = subprocess.DEVNULL
        with contextlib.suppress(OSError):
            return subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
        return None

    # -- keepalived ---------------------------------------------------------------------------------------------------

    def set_ready(self, number: int) -> None:
        """keepalived notices within milliseconds (inotify) and adds the number to its priority."""
        Path(READY_FILE).write_text(f"{number}\n")

    def start_keepalived(self) -> tuple[int, bool]:
        """Returns its process id, and whether it ran already and is master."""
        master = self.is_master()
        systemd.start(systemd.VRRP_UNIT)
        return systemd.main_pid(systemd.VRRP_UNIT), master

    def is_master(self) -> bool:
        """Whether keepalived runs, and is master."""
        return self.has_role() and bool(systemd.main_pid(systemd.VRRP_UNIT))

    def has_role(self) -> bool:
        """What keepalived said while no supervisor listened may be more than one thing; this is what it has done, or
        what a dead one has left."""
        return self.has_virtual_addresses() or bool(self._voice() & self.machine.netlink.virtual_rules())

    def stop_keepalived(self) -> None:
        systemd.stop(systemd.VRRP_UNIT)
