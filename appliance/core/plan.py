"""Desired × Observed → Plan: what to do, in an order in which every prefix is safe, each step with its inverse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address, ip_interface, ip_network
from itertools import product
from typing import Any

from appliance.core import lease_steps, peers, ppp_steps, vlans
from appliance.core.in_force import behind, in_force, moved
from appliance.core.login import login_keys
from appliance.core.state import (
    ALIAS,
    ALONE,
    AUTO,
    KERNEL,
    LEASE_DEVICE,
    LOGIN_KEYS_FILE,
    MAIN_TABLE,
    MONITORING_FILE,
    NETWORK_FOLDER,
    OLD,
    ON_LINK,
    RESOLVED_FILE,
    SESSION_DEVICE,
    TUNNEL_TABLE,
    USERSPACE,
    VLAN_ALIAS,
    Desired,
    DesiredTunnel,
    Grant,
    Observed,
    ObservedLink,
    Role,
    Route,
    Rule,
)
from appliance.core.steps import (
    AddAddress,
    AddRoutes,
    AddRule,
    AddTunnel,
    DeleteAddress,
    DeleteRoutes,
    DeleteRule,
    DeleteTunnel,
    ForgetConnections,
    LoadRuleset,
    ReloadNetworkd,
    ReloadPair,
    ReloadResolved,
    SetDevice,
    SetLink,
    SetMonitoring,
    SetSsh,
    SetSysctl,
    StartSession,
    Step,
    StopSession,
    WriteFile,
)

DEFAULT_UPLINK_MTU = 1500
PAIR_FOLDER = "/run/appliance/"


@dataclass(frozen=True, slots=True)
class Planned:
    """A step, and what takes it back."""

    step: Step
    undo: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order; and in plain words what it disturbs and what could not be planned."""

    planned: tuple[Planned, ...] = ()
    disturbs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(each.step for each in self.planned)

    def __bool__(self) -> bool:
        return bool(self.planned)


def plan(
    desired: Desired,
    observed: Observed,
    previous: Desired | None = None,
    moved: Mapping[str, str] | None = None,
    seen: Mapping[str, str] | None = None,
    role: Role = ALONE,
) -> Plan:
    """The way from `observed` to `desired`.

    `previous` is what this box was told before: an endpoint is set again only where its text differs from it.
    `moved` maps peers (TUNNEL.PEER) to the endpoint that they were just found to have moved to, `seen` to the one where
    they were lately: a new engine is told of it. `role` is the box's in its pair.
    """
    desired = in_force(desired, observed)
    made = _Planner(desired, observed, previous, dict(moved or {}), seen or {}, role)
    made.firewall()
    made.sysctls(quiet=True)
    made.files()
    made.removals()
    made.vlans()
    made.leases()
    made.sessions()
    for tunnel in desired.tunnels:
        made.tunnel(tunnel)
    made.spare_routes()
    made.routes_and_rules()
    made.connections()
    made.sysctls()
    return Plan(tuple(made.planned), tuple(made.disturbs) or ("no tunnel is touched",), tuple(made.warnings))


def shown(found: Plan) -> dict[str, Any]:
    """The plan in plain values: what `plan --json` prints, and what goes over the control socket."""
    return {
        "steps": [{"kind": type(step).__name__, "text": str(step)} for step in found.steps],
        "disturbs": list(found.disturbs),
        "warnings": list(found.warnings),
    }


def engine_for(tunnel: DesiredTunnel, observed: Observed) -> str:
    """`engine: auto` is the kernel's module when it is there, the bundled userspace engine otherwise."""
    if tunnel.engine == AUTO:
        return KERNEL if observed.kernel_wireguard else USERSPACE
    return tunnel.engine


def muted(tunnel: DesiredTunnel) -> DesiredTunnel:
    """The tunnel as a box has it that is not master: everything set, but nothing of its own to say."""
    return replace(tunnel, peers=tuple(replace(peer, keepalive=0) for peer in tunnel.peers))


def running_engine(kind: str) -> str:
    """What runs an interface of this kind: the kernel, or an engine behind a tun device."""
    return KERNEL if kind == "wireguard" else USERSPACE


def tunnel_mtu(tunnel: DesiredTunnel, desired: Desired, observed: Observed) -> int:
    """The tunnel's MTU in bytes: the smallest uplink's, less 20 or 40 of IP, 8 of UDP and 32 of WireGuard.

    WireGuard's data message adds a 16-byte header and a 16-byte tag (whitepaper, section 5.4.6).
    """
    if tunnel.mtu is not None:
        return tunnel.mtu
    sizes = []
    agreed = {session.device: session.mtu for session in desired.sessions}
    for uplink in desired.uplinks:
        link = observed.links.get(uplink.device)
        usual = agreed.get(uplink.device, DEFAULT_UPLINK_MTU)
        sizes.append((link.mtu if link else usual) - (80 if uplink.carries_ipv6 else 60))
    smallest = min(sizes, default=DEFAULT_UPLINK_MTU - 80)
    return max(smallest, 1280 if any(":" in address for address in tunnel.addresses) else 576)


class _Planner:
    """Collects the steps of one plan; each method is one paragraph of the order that docs/DESIGN.md gives."""

    def __init__(
        self,
        desired: Desired,
        observed: Observed,
        previous: Desired | None,
        moved: dict[str, str],
        seen: Mapping[str, str],
        role: Role,
    ) -> None:
        self.desired = desired
        self.observed = observed
        self.previous = previous
        self.moved = moved
        self.seen = seen
        self.role = role
        self.muted = {tunnel.device for tunnel in desired.tunnels if tunnel.moves and role.muted}
        self.planned: list[Planned] = []
        self.disturbs: list[str] = []
        self.warnings: list[str] = list(desired.notes)
        self.devices = {tunnel.device for tunnel in desired.tunnels}
        self.lost_devices: set[str] = set()
        self.hung_up: set[str] = set()
        """Sessions that were ended with the device below them."""

    def add(self, step: Step, *undo: Step) -> None:
        self.planned.append(Planned(step, undo))

    def firewall(self) -> None:
        ruleset = self.desired.ruleset
        present = all(device in self.observed.links for device in ruleset.offload_devices)
        text = ruleset.offload if self.observed.flow_offload and present and ruleset.offload else ruleset.plain
        if self.observed.ruleset != text:
            self.add(LoadRuleset(text), LoadRuleset(self.observed.ruleset))

    def files(self) -> None:
        wanted, present = self.desired.files, self.observed.files
        changed = [path for path in sorted(wanted.keys() | present.keys()) if wanted.get(path) != present.get(path)]
        networkd = [path for path in changed if path.startswith(f"{NETWORK_FOLDER}/")]
        pair = [path for path in changed if path.startswith(PAIR_FOLDER)]
        anew = tuple(
            link.device
            for link in self.desired.links
            if link.path not in changed and self._lacks_address(link.device, link.addresses)
        )
        self._write(networkd, ReloadNetworkd())
        if networkd or anew:
            self.add(ReloadNetworkd(anew))
        if RESOLVED_FILE in changed:
            self._write([RESOLVED_FILE], ReloadResolved())
            self.add(ReloadResolved())
        if pair:
            self._write(pair, ReloadPair())
            self.add(ReloadPair())
        if LOGIN_KEYS_FILE in changed:
            self._logins(wanted.get(LOGIN_KEYS_FILE), present.get(LOGIN_KEYS_FILE))
        if MONITORING_FILE in changed:
            self._write([MONITORING_FILE], SetMonitoring(MONITORING_FILE in present))
            self.add(SetMonitoring(MONITORING_FILE in wanted))

    def _logins(self, wanted: str | None, present: str | None) -> None:
        """A key that leaves takes its sessions along; sshd does not say whose they are, so all end."""
        after, before = login_keys(wanted), login_keys(present)
        self._write([LOGIN_KEYS_FILE], SetSsh(bool(before), end_sessions=bool(after - before)))
        self.add(SetSsh(bool(after), end_sessions=bool(before - after)))
        if before - after:
            self.disturbs.append("ssh sessions end, since a key has left; log in anew")

    def _write(self, paths: list[str], reload: Step) -> None:
        """Undoing runs in reverse, so the first file's undo comes last: it is the one that ends with the reload."""
        for path in paths:
            back = WriteFile(path, self.observed.files.get(path))
            undo = (back, reload) if path == paths[0] else (back,)
            self.add(WriteFile(path, self.desired.files.get(path)), *undo)

    def _lacks_address(self, device: str, addresses: tuple[str, ...]) -> bool:
        link = self.observed.links.get(device)
        return link is not None and not set(addresses) <= link.addresses

    def removals(self) -> None:
        """What goes away, in the reverse order of its making."""
        wanted_rules, wanted_routes = self._wanted_rules(), self.wanted_routes
        for rule in sorted(self.observed.rules - wanted_rules, key=lambda rule: (rule.priority, rule.family)):
            self.add(DeleteRule(rule), AddRule(rule))
        gone = self.observed.routes - wanted_routes
        self._delete_routes(route for route in gone if not self._spare(route) and route not in self.moving_routes)
        for device, link in sorted(self.observed.links.items()):
            if not link.alias.startswith(ALIAS) or device in self.devices:
                continue
            if link.alias == VLAN_ALIAS:
                if change := vlans.removal(link, self.desired.vlans):
                    self.add(*change)
                    self.lost_devices.add(device)
            elif not device.startswith(LEASE_DEVICE):
                self.remove_tunnel(link, "removed")
            elif change := lease_steps.removal(link, self.desired.leased):
                for step, *undo in ppp_steps.hang_up(device, self.desired, self.observed, self.previous):
                    self.add(step, *undo)
                    self.hung_up |= {step.device} if isinstance(step, StopSession) else set()
                self.add(*change)
                self.lost_devices.add(device)
                self.disturbs.append(f"{device.removeprefix(LEASE_DEVICE)}: the lease is asked for anew")

    def vlans(self) -> None:
        for step, *undo in vlans.changes(self.desired.vlans, self.observed.links):
            self.add(step, *undo)

    def spare_routes(self) -> None:
        """Those that a tunnel's interface makes superfluous. They were there for another one with the same network,
        to which packets might have strayed, so they go after it."""
        self._delete_routes(route for route in self.observed.routes - self.wanted_routes if self._spare(route))

    def _spare(self, route: Route) -> bool:
        link = self.observed.links.get(route.device)
        stays = link and route.device in self.devices and route not in self.moving_routes
        return bool(stays and _inside(route.destination, link.addresses if link else frozenset()))

    def _delete_routes(self, gone: Iterable[Route]) -> None:
        routes = tuple(sorted(gone, key=_route_order))
        if routes:
            self.add(DeleteRoutes(routes), AddRoutes(routes))

    @cached_property
    def moving_routes(self) -> frozenset[Route]:
        """Routes from which a peer moves to another interface: the new one takes the place at once (NLM_F_REPLACE)."""
        gone = [each for each in self.observed.routes - self.wanted_routes if each.device in self.devices]
        if not gone:
            return frozenset()
        anew = {_place(route) for route in self.wanted_routes if route.device in self.devices}
        return frozenset(route for route in gone if _place(route) in anew)

    def leases(self) -> None:
        links = {device: link for device, link in self.observed.links.items() if device not in self.lost_devices}
        for step, *undo in lease_steps.changes(self.desired.leased, links, self.observed, self.role.muted):
            self.add(step, *undo)

    def sessions(self) -> None:
        self.warnings += ppp_steps.missing(self.desired, self.observed)
        found = {
            device: replace(session, running=session.running and device not in self.hung_up)
            for device, session in self.observed.sessions.items()
        }
        observed = replace(self.observed, sessions=found)
        for step, *undo in ppp_steps.changes(self.desired, observed, self.previous, self.role.muted):
            self.add(step, *undo)
            if isinstance(step, StartSession | StopSession) and self.observed.sessions.get(step.device):
                how = "is dialled anew" if isinstance(step, StartSession) else "hangs up"
                self.disturbs.append(f"{step.device.removeprefix(SESSION_DEVICE)}: {how}, its connections pause or end")

    def remove_tunnel(self, link: ObservedLink, why: str) -> None:
        engine = running_engine(link.kind)
        state = self.observed.devices.get(link.device)
        undo: list[Step] = [AddTunnel(link.device, engine, link.alias)]
        if state:
            keys = (name for name, public in self.observed.keys.items() if public == state.public_key)
            key = next(keys, link.device)
            undo.append(SetDevice(link.device, engine, key, state.listen_port, state.mark))
            undo.append(peers.restored(link.device, engine, state, self.observed.secrets))
        undo += [AddAddress(link.device, address) for address in sorted(link.addresses)]
        undo.append(SetLink(link.device, link.mtu, link.up))
        lost = tuple(sorted((route for route in self.observed.routes if route.device == link.device), key=_route_order))
        kept = tuple(route for route in lost if route in self.wanted_routes)
        if kept:
            undo.append(AddRoutes(kept))
        self.add(DeleteTunnel(link.device, engine), *undo)
        self.lost_devices.add(link.device)
        count = len(state.peers) if state else 0
        name = link.device.removeprefix("wg-").removeprefix("w2-")
        if link.device not in self.devices and name in {tunnel.name for tunnel in self.desired.tunnels}:
            count = self._users(link.device, count)
            self.disturbs.append(f"{name}: {link.device} ends with its key, {count} peers that use it are cut off")
        else:
            self.disturbs.append(f"{name}: {why}, its {count} peers are cut off")

    def _users(self, device: str, every: int) -> int:
        """How many peers use that one of a tunnel's two keys; all, where there are no two."""
        before = self.previous.tunnels if self.previous else ()
        found = next((tunnel for tunnel in before if tunnel.device == device), None)
        if not found or not self.previous or f"{found.base}{OLD}" not in {tunnel.name for tunnel in before}:
            return every
        names = {behind(peer.name) for peer in found.peers}
        uses = moved(self.previous, self.observed.devices, self.observed.routes)
        mine = [name for name in names if uses.get(name, not found.replaced_by) == (not found.replaced_by)]
        return len(mine)

    def tunnel(self, tunnel: DesiredTunnel) -> None:
        device, engine = tunnel.device, engine_for(tunnel, self.observed)
        link = self.observed.links.get(device)
        if link and running_engine(link.kind) != engine:
            self.remove_tunnel(link, f"the engine becomes {engine}")
            self.disturbs[-1] = f"{tunnel.name}: {len(tunnel.peers)} peers pause about 1 s (engine becomes {engine})"
            link = None
        state = self.observed.devices.get(device) if link else None
        alias = f"{ALIAS}tunnel {tunnel.base}"
        if link is None:
            self.add(AddTunnel(device, engine, alias), DeleteTunnel(device, engine))
        elif link.alias != alias:
            self.add(SetLink(device, alias=alias), SetLink(device, alias=link.alias))
        key = (
            None
            if state and state.public_key and state.public_key == self.observed.keys.get(tunnel.key)
            else tunnel.key
        )
        port = tunnel.listen_port if state is None or tunnel.listen_port not in (0, state.listen_port) else None
        mark = tunnel.mark if state is None or state.mark != tunnel.mark else None
        if state is None:
            self.add(SetDevice(device, engine, key, port, mark))
        elif (key, port, mark) != (None, None, None):
            back = SetDevice(
                device,
                engine,
                None,
                state.listen_port if port is not None else None,
                state.mark if mark is not None else None,
            )
            self.add(SetDevice(device, engine, key, port, mark), back)
            if key or port is not None:
                self.disturbs.append(
                    f"{tunnel.name}: {len(state.peers)} peers must reach it anew (key or port changed)"
                )
        silent = device in self.muted
        wanted = muted(tunnel) if silent else tunnel
        change = peers.change(
            wanted, engine, state, self.observed, self.previous, self.moved, {} if silent else self.seen, self.role
        )
        self.warnings += change.warnings
        if change.step:
            self.add(change.step, *((change.undo,) if change.undo else ()))
            if change.disturbs and state is not None:
                self.disturbs.append(f"{tunnel.name}: {change.disturbs}")
        addresses = link.addresses if link else frozenset()
        for address in sorted(addresses - set(tunnel.addresses)):
            if not address.startswith("fe80:"):
                self.add(DeleteAddress(device, address), AddAddress(device, address))
        for address in tunnel.addresses:
            if address not in addresses:
                self.add(AddAddress(device, address), DeleteAddress(device, address))
        mtu = tunnel_mtu(tunnel, self.desired, self.observed)
        if link is None:
            self.add(SetLink(device, mtu, not silent))
        elif link.mtu != mtu or link.up == silent:
            new_mtu = mtu if link.mtu != mtu else None
            turned = link.up == silent
            self.add(
                SetLink(device, new_mtu, not silent if turned else None),
                SetLink(device, link.mtu if new_mtu else None, silent if turned else None),
            )

    def routes_and_rules(self) -> None:
        here = {route for route in self.observed.routes if route.device not in self.lost_devices}
        missing = sorted(self.wanted_routes - here, key=_route_order)
        possible = tuple(route for route in missing if self._usable(route))
        if possible:
            places = {_place(route) for route in possible}
            replaced = [route for route in self.moving_routes if _place(route) in places]
            back = (AddRoutes(tuple(sorted(replaced, key=_route_order))),) if replaced else ()
            self.add(AddRoutes(possible), DeleteRoutes(possible), *back)
        for rule in sorted(self._wanted_rules() - self.observed.rules, key=lambda rule: (rule.priority, rule.family)):
            self.add(AddRule(rule), DeleteRule(rule))

    def _usable(self, route: Route) -> bool:
        """A route over an uplink waits for the link, and for an address in the gateway's network: the kernel refuses
        it before, and an event follows."""
        if not route.device or route.device in self.devices:
            return True
        link = self.observed.links.get(route.device)
        if link is None or not link.up:
            return False
        return route.gateway is None or _on_link(route.gateway, link.addresses)

    @cached_property
    def wanted_routes(self) -> frozenset[Route]:
        """The routes of the file, and for each uplink's own table where that uplink leads at this moment."""
        # A link that is down loses its routes; what would have gone there meets the black hole behind them.
        routes = {route for route in self.desired.routes if route.device not in self.muted}
        if not self.role.muted:
            routes |= lease_steps.ways(self.desired.leased, self.desired.sessions, self.observed.defaults)
        for uplink in self.desired.uplinks:
            if not uplink.mark:
                continue
            gateways = list(uplink.gateways)
            for family in (4, 6):
                if any((":" in gateway) == (family == 6) for gateway in gateways):
                    continue
                found = [
                    d
                    for d in self.observed.defaults
                    if d.device == uplink.device and (":" in d.gateway) == (family == 6)
                ]
                gateways += [min(found, key=lambda default: default.metric).gateway] if found else []
            for gateway in gateways:
                destination = "::/0" if ":" in gateway else "0.0.0.0/0"
                way = None if gateway in ON_LINK else gateway
                routes.add(Route(destination, uplink.device, uplink.table, way))
        return frozenset(routes)

    def _wanted_rules(self) -> frozenset[Rule]:
        """The rules of the file, and for each uplink one for every address that it has at this moment."""
        rules = set(self.desired.rules)
        full = {rule.family for rule in rules if rule.table == TUNNEL_TABLE}
        rules |= {Rule(family, 5290, MAIN_TABLE, user=user) for family in full for user in self.observed.outside}
        for uplink in self.desired.uplinks:
            link = self.observed.links.get(uplink.device)
            if not uplink.mark or link is None:
                continue
            for address in link.addresses:
                family = 6 if ":" in address else 4
                if not address.startswith("fe80:"):
                    source = address.split("/")[0] + ("/128" if family == 6 else "/32")
                    rules.add(Rule(family, 5200, uplink.table, source=source))
        return frozenset(rules)

    def connections(self) -> None:
        """Those that are no longer allowed, after all that they could have used: looking through the kernel's table
        takes its time, in which nothing else waits."""
        revoked = _revoked(self.previous, self.desired) if self.previous else ()
        if revoked:
            self.add(ForgetConnections(revoked))
            self.disturbs.append("connections that are no longer allowed end")

    def sysctls(self, quiet: bool = False) -> None:
        """`quiet`: what keeps a card silent, before networkd has it up; the rest comes last."""
        for key, value in self.desired.sysctls.items():
            now = self.observed.sysctls.get(key)
            if now is not None and now != value and key.endswith("/disable_ipv6") == quiet:
                self.add(SetSysctl(key, value), SetSysctl(key, now))


def _inside(destination: str, addresses: frozenset[str]) -> bool:
    wanted = ip_network(destination)
    networks = (ip_interface(each).network for each in addresses)
    return any(wanted.version == each.version and wanted.network_address in each for each in networks)


def _on_link(gateway: str, addresses: frozenset[str]) -> bool:
    address = ip_address(gateway)
    return address.is_link_local or any(address in ip_interface(each).network for each in addresses)


def _revoked(before: Desired, after: Desired) -> tuple[Grant, ...]:
    """What was allowed and no longer is, by single networks: a rule that lost one network of many ends that one's."""
    gone = set(before.grants) - set(after.grants)
    if not gone:
        return ()
    still = {single for grant in set(after.grants) - set(before.grants) for single in _singles(grant)}
    found = {single for grant in gone for single in _singles(grant)} - still
    return tuple(sorted(found, key=lambda grant: (grant.sources, grant.destinations, grant.ports, grant.forwarded_to)))


def _singles(grant: Grant) -> Iterator[Grant]:
    sources: list[tuple[str, ...]] = [(source,) for source in grant.sources] or [()]
    destinations: list[tuple[str, ...]] = [(destination,) for destination in grant.destinations] or [()]
    ports: list[tuple[str, ...]] = [(port,) for port in grant.ports] or [()]
    for source, destination, port in product(sources, destinations, ports):
        yield Grant(source, destination, port, grant.forwarded_to)


def _place(route: Route) -> tuple[str, int, int]:
    """What the kernel knows a route by: one more there replaces it."""
    return (route.destination, route.table, route.metric)


def _route_order(route: Route) -> tuple[int, str, str]:
    return (route.table, route.device, route.destination)
