"""The steps of a plan, as data. What is printed, what is tested and what is run is the same object.

Every step can be repeated without harm; each names the thing it changes in the words of the tool that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.core.state import NO_TABLE, Grant, Route, Rule


@dataclass(frozen=True, slots=True)
class LoadRuleset:
    """Replaces our nft table whole. "" stands for the ruleset that lets nothing through."""

    text: str

    def __str__(self) -> str:
        return "firewall: replace the table inet appliance" + ("" if self.text else " by the closed one")


@dataclass(frozen=True, slots=True)
class ForgetConnections:
    """Ends the connections that these grants allowed: their rules have left the file."""

    grants: tuple[Grant, ...]

    def __str__(self) -> str:
        shown = "; ".join(_grant_text(grant) for grant in self.grants[:4])
        more = f"; and {len(self.grants) - 4} more" if len(self.grants) > 4 else ""
        return f"firewall: end the connections {shown}{more}"


def _grant_text(grant: Grant) -> str:
    ports = f" {' '.join(grant.ports)}" if grant.ports else ""
    return f"{' '.join(grant.sources) or 'any'} → {' '.join(grant.destinations) or 'any'}{ports}"


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Writes a file whole, or removes it when `content` is None."""

    path: str
    content: str | None

    def __str__(self) -> str:
        return f"{'remove' if self.content is None else 'write'} {self.path}"


@dataclass(frozen=True, slots=True)
class ReloadNetworkd:
    """Has networkd read its files again, and set up `devices` anew even where their file is unchanged."""

    devices: tuple[str, ...] = ()

    def __str__(self) -> str:
        again = f", {', '.join(self.devices)} anew" if self.devices else ""
        return f"networkd: read the files again{again}"


@dataclass(frozen=True, slots=True)
class ReloadResolved:
    """Has resolved read its drop-in again."""

    def __str__(self) -> str:
        return "resolved: read the file again"


@dataclass(frozen=True, slots=True)
class ReloadPair:
    """Has keepalived and conntrackd read their files again, where they run."""

    def __str__(self) -> str:
        return "keepalived, conntrackd: read the files again"


@dataclass(frozen=True, slots=True)
class AddLeaseLink:
    """Makes the device of a leased uplink, a MAC VLAN on `parent`; it is down."""

    device: str
    parent: str
    mac: str
    alias: str

    def __str__(self) -> str:
        return f"{self.device}: add on {self.parent}, hardware address {self.mac}"


@dataclass(frozen=True, slots=True)
class AddLentDefault:
    """The way on over an uplink, as networkd sets it for a lease whose address `source` is."""

    device: str
    gateway: str
    source: str
    metric: int

    def __str__(self) -> str:
        return f"{self.device}: add the default route via {self.gateway}"


@dataclass(frozen=True, slots=True)
class AddVlan:
    """Makes the device of a VLAN on the card `parent`, which is up from then on."""

    device: str
    parent: str
    id: int

    def __str__(self) -> str:
        return f"{self.device}: add VLAN {self.id} on {self.parent}"


@dataclass(frozen=True, slots=True)
class StartSession:
    """Has pppd dial with the options that are written and the password `secret`; a session that is there ends before.

    `begun_with` is remembered beside it (ObservedSession).
    """

    device: str
    secret: str
    begun_with: str

    def __str__(self) -> str:
        return f"{self.device}: dial (PPPoE)"


@dataclass(frozen=True, slots=True)
class StopSession:
    """Ends a PPPoE session, and dials no more."""

    device: str

    def __str__(self) -> str:
        return f"{self.device}: hang up (PPPoE)"


@dataclass(frozen=True, slots=True)
class DeleteLink:
    """Removes an interface that nothing but the kernel runs."""

    device: str

    def __str__(self) -> str:
        return f"{self.device}: delete"


@dataclass(frozen=True, slots=True)
class SetSsh:
    """Starts sshd where it does not run, or stops it; and ends its sessions, when somebody's key has gone."""

    run: bool
    end_sessions: bool = False

    def __str__(self) -> str:
        if not self.run:
            return "ssh: stop, and end its sessions"
        return "ssh: end its sessions, and go on" if self.end_sessions else "ssh: run"


@dataclass(frozen=True, slots=True)
class SetMonitoring:
    """Has the exporter of metrics read its addresses anew, or stops it."""

    run: bool

    def __str__(self) -> str:
        return "monitoring: run" if self.run else "monitoring: stop"


@dataclass(frozen=True, slots=True)
class AddTunnel:
    """Makes a WireGuard interface, run by `engine`."""

    device: str
    engine: str
    alias: str

    def __str__(self) -> str:
        return f"{self.device}: add, engine {self.engine}"


@dataclass(frozen=True, slots=True)
class DeleteTunnel:
    """Removes a WireGuard interface and its engine."""

    device: str
    engine: str

    def __str__(self) -> str:
        return f"{self.device}: delete"


@dataclass(frozen=True, slots=True)
class SetDevice:
    """Sets what WireGuard calls the interface's own part. None leaves a value as it is; `key` is the key's name."""

    device: str
    engine: str
    key: str | None = None
    listen_port: int | None = None
    mark: int | None = None

    def __str__(self) -> str:
        parts = [
            f"private key {self.key}" if self.key else "",
            f"listen port {self.listen_port or 'any'}" if self.listen_port is not None else "",
            f"fwmark {self.mark:#x}" if self.mark is not None else "",
        ]
        return f"{self.device}: set {', '.join(part for part in parts if part)}"


@dataclass(frozen=True, slots=True)
class PeerChange:
    """What changes about one peer. None leaves a value as it is.

    `preshared_key` is the name of a secret, "" for none. `replace` makes `allowed_ips` the whole list, otherwise
    they are added. `endpoint` is ADDRESS:PORT.
    """

    name: str
    public_key: str
    new: bool = False
    allowed_ips: tuple[str, ...] | None = None
    replace: bool = False
    preshared_key: str | None = None
    endpoint: str | None = None
    keepalive: int | None = None

    def __str__(self) -> str:
        parts = [
            f"allowed ips {' '.join(self.allowed_ips) or 'none'}" if self.allowed_ips is not None else "",
            f"preshared key {self.preshared_key or 'none'}" if self.preshared_key is not None else "",
            f"endpoint {self.endpoint}" if self.endpoint else "",
            f"keepalive {self.keepalive or 'off'}" if self.keepalive is not None else "",
        ]
        return f"{'add' if self.new else 'change'} {self.name}: " + ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class SetPeers:
    """Removes the peers with the keys in `removed`, then changes and adds; every other peer is left alone.

    A peer in both is made anew: it keeps what the change says, and its session goes.
    """

    device: str
    engine: str
    changes: tuple[PeerChange, ...] = ()
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        changed = {change.public_key for change in self.changes}
        gone = [key for key in self.removed if key not in changed]
        shown = [f"remove {key[:12]}…" for key in gone] + [str(change) for change in self.changes]
        if len(shown) > 4:
            new = sum(change.new for change in self.changes)
            shown = [f"remove {len(gone)}, add {new}, change {len(self.changes) - new} peers"]
        return f"{self.device}: {'; '.join(shown)}"


@dataclass(frozen=True, slots=True)
class SetLink:
    """Sets an interface's MTU, alias and administrative state; None leaves each as it is."""

    device: str
    mtu: int | None = None
    up: bool | None = None
    alias: str | None = None

    def __str__(self) -> str:
        parts = [
            f"mtu {self.mtu}" if self.mtu is not None else "",
            {None: "", True: "up", False: "down"}[self.up],
            f"alias {self.alias!r}" if self.alias is not None else "",
        ]
        return f"{self.device}: set {', '.join(part for part in parts if part)}"


@dataclass(frozen=True, slots=True)
class AddAddress:
    device: str
    address: str

    def __str__(self) -> str:
        return f"{self.device}: add address {self.address}"


@dataclass(frozen=True, slots=True)
class DeleteAddress:
    device: str
    address: str

    def __str__(self) -> str:
        return f"{self.device}: delete address {self.address}"


def _routes(verb: str, routes: tuple[Route, ...]) -> str:
    if len(routes) > 4:
        return f"{verb} {len(routes)} routes"
    return "; ".join(f"{verb} {route_text(route)}" for route in routes)


@dataclass(frozen=True, slots=True)
class AddRoutes:
    routes: tuple[Route, ...]

    def __str__(self) -> str:
        return _routes("add", self.routes)


@dataclass(frozen=True, slots=True)
class DeleteRoutes:
    routes: tuple[Route, ...]

    def __str__(self) -> str:
        return _routes("delete", self.routes)


@dataclass(frozen=True, slots=True)
class AddRule:
    rule: Rule

    def __str__(self) -> str:
        return f"add rule {rule_text(self.rule)}"


@dataclass(frozen=True, slots=True)
class DeleteRule:
    rule: Rule

    def __str__(self) -> str:
        return f"delete rule {rule_text(self.rule)}"


@dataclass(frozen=True, slots=True)
class SetSysctl:
    key: str
    value: str

    def __str__(self) -> str:
        return f"sysctl {self.key} = {self.value}"


type Step = (
    LoadRuleset
    | ForgetConnections
    | WriteFile
    | ReloadNetworkd
    | ReloadResolved
    | ReloadPair
    | AddLeaseLink
    | AddLentDefault
    | AddVlan
    | StartSession
    | StopSession
    | DeleteLink
    | SetSsh
    | SetMonitoring
    | AddTunnel
    | DeleteTunnel
    | SetDevice
    | SetPeers
    | SetLink
    | AddAddress
    | DeleteAddress
    | AddRoutes
    | DeleteRoutes
    | AddRule
    | DeleteRule
    | SetSysctl
)


def route_text(route: Route) -> str:
    """The route as ip-route(8) would say it."""
    kind = "" if route.device else "blackhole "
    via = f" via {route.gateway}" if route.gateway else ""
    device = f" dev {route.device}" if route.device else ""
    table = "" if route.table == 254 else f" table {route.table}"
    mtu = f" mtu {route.mtu}" if route.mtu else ""
    return f"route {kind}{route.destination}{via}{device}{table}{mtu}"


def rule_text(rule: Rule) -> str:
    """The rule as ip-rule(8) would say it."""
    mark = "" if rule.mark is None else f" fwmark {rule.mark:#x}" + (f"/{rule.mask:#x}" if rule.mask else "")
    source = f" from {rule.source}" if rule.source else ""
    destination = f" to {rule.destination}" if rule.destination else ""
    user = "" if rule.user is None else f" uidrange {rule.user}-{rule.user}"
    suppress = "" if rule.suppress_prefix_length is None else f" suppress_prefixlength {rule.suppress_prefix_length}"
    invert = " not" if rule.invert else ""
    action = "blackhole" if rule.table == NO_TABLE else f"lookup {rule.table}"
    action = action if rule.goto is None else f"goto {rule.goto}"
    return f"{rule.priority}:{invert}{source}{destination}{mark}{user} {action}{suppress} (IPv{rule.family})"
