"""What a box should be (Desired) and what it is (Observed), in the same words, so that the two can be compared.

Addresses, networks and endpoints are text in their canonical form: they come from the standard library on the one side
and from the kernel on the other, and compare as text. Secrets never stand here, only their names and digests.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

PROTOCOL = 114
"""rtm_protocol / FRA_PROTOCOL of every route and rule of ours (rtnetlink(7); unassigned in iproute2's rt_protos)."""

MAIN_TABLE = 254
TUNNEL_TABLE = 51
UPLINK_TABLE = 101
NO_TABLE = 0
"""Of a rule that drops what it matches (ip-rule(8), blackhole)."""
DEFAULTS = ("0.0.0.0/0", "::/0")
ON_LINK = ("0.0.0.0", "::")  # noqa: S104
"""Stand for the gateway of a default route that has none (DefaultRoute)."""
TUNNEL_MARK = 0x5700
"""fwmark of every tunnel's own packets: they take the uplinks, never a tunnel."""
TUNNEL_MARK_MASK = 0x0000_FFFF
UPLINK_MARK_MASK = 0xFF00_0000
"""The bits that hold the uplink on which a connection arrived; neither part of a mark overwrites the other."""
NETWORK_FOLDER = "/run/systemd/network"
RESOLVED_FILE = "/run/systemd/resolved.conf.d/50-appliance.conf"
LOGIN_KEYS_FILE = "/run/appliance-ssh/authorized_keys"
"""Who may log in by ssh (sshd_config.d/50-appliance.conf); without the file there is no sshd."""
MONITORING_FILE = "/run/appliance-monitoring/listen"
"""The addresses at which metrics can be read, one a line (appliance-monitoring.service); without the file at none."""
METRICS_PORT = 9586
"""TCP. Prometheus' list of default ports gives it to exporters of WireGuard."""
ALIAS = "appliance: "
"""Interface alias (IFLA_IFALIAS) with which the links of tunnels, leases and VLANs begin."""
LEASE_DEVICE = "lease-"
"""How the devices of leased uplinks begin."""
VLAN_ALIAS = f"{ALIAS}vlan"
"""That of every VLAN's device."""

TUNNEL_DEVICES = ("wg-", "w2-")
"""How the interfaces of tunnels begin: of the box's keys with odd and with even numbers."""
OLD = "/old"
"""How the names end of what is being replaced: a peer with its keys before, a tunnel with the box's key before."""

SESSION_DEVICE = "ppp-"
"""How the devices of PPPoE uplinks begin."""
SESSION_FOLDER = "/run/appliance-pppoe"
"""pppd's options, with the password in a file of its own, and what became of a session."""

KERNEL = "kernel"
USERSPACE = "userspace"
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Route:
    """A route of ours. `gateway` None is a route on the link itself; device "" a blackhole."""

    destination: str
    device: str
    table: int = MAIN_TABLE
    gateway: str | None = None
    metric: int = 0
    mtu: int | None = None

    @property
    def family(self) -> int:
        return 6 if ":" in self.destination else 4


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy routing rule of ours (ip-rule(8)); None and False are conditions that are absent."""

    family: int
    priority: int
    table: int
    mark: int | None = None
    mask: int | None = None
    invert: bool = False
    source: str | None = None
    destination: str | None = None
    suppress_prefix_length: int | None = None
    user: int | None = None
    goto: int | None = None
    """The priority of the rule to go on with, where it is not a `table` that is looked up."""


@dataclass(frozen=True, slots=True)
class DesiredPeer:
    """A peer as the file has it. `name` is TUNNEL.PEER; `endpoint` HOST:PORT as written."""

    name: str
    public_key: str
    allowed_ips: tuple[str, ...]
    preshared_key: str | None = None
    endpoint: str | None = None
    keepalive: int = 0
    since: float | None = None
    """When its keys were made, in seconds since 1970."""
    expires: float | None = None
    """From when on it gets in no more."""
    replaces: str = ""
    """The public key that this one takes over from (core/in_force.py)."""
    replaced_by: str = ""
    """The public key that takes over from this one."""


@dataclass(frozen=True, slots=True)
class DesiredTunnel:
    """A WireGuard interface. `mtu` None: from the uplink; `listen_port` 0: any; `mark` 0: none.

    `moves`: in a pair it is the master's alone; the pair link itself is not.

    While the box's own key is replaced a tunnel stands twice, as TUNNEL and, with the key before, as TUNNEL/old
    (core/in_force.py): both with all peers, which move over one by one.
    """

    name: str
    engine: str
    addresses: tuple[str, ...]
    peers: tuple[DesiredPeer, ...]
    listen_port: int = 0
    mtu: int | None = None
    mark: int = 0
    moves: bool = True
    key_number: int = 1
    since: float | None = None
    """When that key was made, in seconds since 1970; None: as its file says."""
    replaced_by: str = ""
    """The device with the key that takes over from this one."""
    expires: float | None = None
    """From when on this key counts no more."""

    @property
    def base(self) -> str:
        """The tunnel's name in the file."""
        return self.name.removesuffix(OLD)

    @property
    def device(self) -> str:
        return tunnel_device(self.base, self.key_number)

    @property
    def key(self) -> str:
        """The name under which the box keeps this tunnel's private key."""
        return tunnel_key(self.base, self.key_number)


@dataclass(frozen=True, slots=True)
class DesiredLink:
    """A physical interface that networkd sets up from our file. `addresses` are the static ones."""

    name: str
    device: str
    addresses: tuple[str, ...]
    mtu: int | None = None
    path: str = ""
    above: str = ""
    """The device that has its addresses, where that is another one (LeasedUplink)."""


@dataclass(frozen=True, slots=True)
class Vlan:
    """A VLAN (IEEE 802.1Q) on the card `parent`, by its ID: the device PARENT.ID."""

    device: str
    parent: str
    id: int


@dataclass(frozen=True, slots=True)
class Uplink:
    """A way to the internet. `gateways` are static ones; a version that is missing is read from the main table."""

    name: str
    device: str
    table: int
    mark: int
    gateways: tuple[str, ...]
    dynamic: bool
    carries_ipv6: bool


@dataclass(frozen=True, slots=True)
class LeasedUplink:
    """An uplink of a pair whose address is lent: `device` is a MAC VLAN on the card `parent`, up on the master alone.

    Its hardware address is `mac`: `mac_pair` on both boxes, `mac_alone` while they are no pair yet. `metric` is its
    routes'.
    """

    name: str
    device: str
    parent: str
    mac: str
    mac_alone: str
    mac_pair: str
    metric: int

    @property
    def alias(self) -> str:
        return f"{ALIAS}lease {self.name}"


@dataclass(frozen=True, slots=True)
class Lease:
    """An address, ADDRESS/LENGTH, that is lent to an uplink for so many more `seconds`. `gateway` "": none with it.

    Or a PPPoE session, which nobody can take over, but end: `session` is its number, `gateway` the hardware address
    of the provider's end, `address` what the session has, "" as long as that is being agreed upon.
    """

    uplink: str
    address: str
    gateway: str
    seconds: float
    session: int = 0


@dataclass(frozen=True, slots=True)
class PppSession:
    """An uplink by PPPoE: pppd makes `device` over `parent`, with the options in the file `options`.

    `password` is the name of the secret; `mtu` what the device has where the provider agrees.
    """

    name: str
    device: str
    parent: str
    password: str
    mtu: int
    options: str


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Our nft table as text, once without and once with flow offload."""

    plain: str
    offload: str
    offload_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """Connections that a rule allows: from and to these networks, with these ports (tcp/443); none stands for any."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    ports: tuple[str, ...]
    forwarded_to: str = ""
    """For a port forward: the host inside that answers."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the box itself lets new connections in: on these devices, from these networks, to these ports (tcp/22);
    none stands for any."""

    devices: tuple[str, ...]
    sources: tuple[str, ...]
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """An address that moves between the boxes, ADDRESS/LENGTH; keepalived sets and removes it.

    `deprecated`: never picked as a source by itself, only where a route says so (RFC 4862 section 5.5.4).
    """

    device: str
    address: str
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class VirtualRoute:
    """A route that comes and goes with a virtual address, its `source`. Without a gateway it is on the link."""

    destination: str
    device: str
    source: str
    table: int
    gateway: str | None = None
    metric: int = 0


@dataclass(frozen=True, slots=True)
class Router:
    """An uplink's next router, which must learn where the virtual address is now."""

    device: str
    virtual: str
    gateway: str


@dataclass(frozen=True, slots=True)
class Hearing:
    """A network on which the two boxes send each other adverts: the device, and their addresses there."""

    device: str
    addresses: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """This box as one of two. `own` and `partner_address` are the ends inside the pair link.

    `partner_endpoint` is where the link's own packets go, ADDRESS:PORT.
    """

    partner: str
    preferred: bool
    """It takes the role back when it is ready."""
    begins: bool
    """Of two that boot at once it goes first."""
    holds: bool
    """Neither is preferred: whoever is master stays it."""
    device: str
    """Of the network that failover.pair_link names."""
    own: str
    partner_address: str
    partner_endpoint: str
    virtual_addresses: tuple[VirtualAddress, ...]
    virtual_routes: tuple[VirtualRoute, ...]
    routers: tuple[Router, ...]
    router_id: int
    hearing: tuple[Hearing, ...]
    role_line: tuple[str, str]
    """The first two words of keepalived's lines that say that this box is master."""
    weighing: tuple[str, ...]
    """The devices whose lost link costs priority."""
    silence: tuple[Rule, ...] = ()
    """Drop what a box that is not master would say (pair/routing.py); in force once there is a partner."""
    voice: tuple[Rule, ...] = ()
    """Lead past the silence; keepalived sets and removes them with the role."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a box may do at this moment. `muted`: its moving tunnels say nothing. `calling`: a takeover is under way,
    and keepalives are its own."""

    muted: bool = False
    calling: bool = False


ALONE = Role()


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose bundles count: so many (`threshold`) of these OpenSSH public `keys`, by their owners' names, must sign."""

    threshold: int
    keys: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Where signed bundles are looked for, and every how many seconds."""

    url: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that one box should be."""

    site: str
    box: str
    digest: str
    links: tuple[DesiredLink, ...]
    uplinks: tuple[Uplink, ...]
    tunnels: tuple[DesiredTunnel, ...]
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    files: dict[str, str]
    sysctls: dict[str, str]
    ruleset: Ruleset
    grants: tuple[Grant, ...] = ()
    doors: tuple[Door, ...] = ()
    pair: Pair | None = None
    leased: tuple[LeasedUplink, ...] = ()
    sessions: tuple[PppSession, ...] = ()
    vlans: tuple[Vlan, ...] = ()
    notes: tuple[str, ...] = ()
    trust: Trust | None = None
    fetch: Fetch | None = None
    key_days: int = 0
    """How old keys may become, in days; 0: as old as they like."""


@dataclass(frozen=True, slots=True)
class ObservedLink:
    """`kind` is IFLA_INFO_KIND ("wireguard", "tun", "veth", "" for a real card); `up` the administrative state.

    `parent` is the device below, "" for none. `lifetimes` says for how many seconds each address still holds,
    `provisional` which of them are ours: taken over from the partner, and not confirmed by the network yet.
    """

    device: str
    kind: str
    up: bool
    carrier: bool
    mtu: int
    alias: str = ""
    addresses: frozenset[str] = frozenset()
    mac: str = ""
    parent: str = ""
    lifetimes: dict[str, int] = field(default_factory=dict)
    provisional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ObservedPeer:
    """A peer as the engine has it. `preshared_key` is a digest, "" for none.

    `last_handshake` is in seconds since the epoch, 0 for never; `received` and `sent` are bytes.
    """

    public_key: str
    allowed_ips: frozenset[str]
    endpoint: str | None
    keepalive: int
    preshared_key: str
    last_handshake: float = 0.0
    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class ObservedDevice:
    """A WireGuard interface as its engine has it."""

    public_key: str
    listen_port: int
    mark: int
    peers: dict[str, ObservedPeer]


@dataclass(frozen=True, slots=True)
class ObservedSession:
    """A session of pppd. `running`: it is up, or tried again and again; `begun_with` is the digest of its options and
    password (core/ppp_steps.py); `ended` pppd's exit status of the last attempt, None while the session is up."""

    running: bool
    begun_with: str
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A PPPoE session as the kernel has it, over `device`: its number, and the provider's hardware address."""

    device: str
    number: int
    provider: str


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """A default route of the main table that is not ours: where an uplink leads.

    On a link with two ends there is no gateway to name; it says 0.0.0.0 (or ::) instead, ON_LINK.
    """

    device: str
    gateway: str
    metric: int


@dataclass(frozen=True, slots=True)
class Observed:
    """What one box is, as the kernel, the engines, nft and the disk say at this moment.

    `ruleset` is the text of our table that stands in the kernel unaltered, "" when
    there is none or somebody changed it.
    `keys` and `secrets` map the names of the keys on disk to public keys, and of secrets to digests;
    `passwords` does so for all that can be one; `keys_made` says when a private key's file was written, in seconds
    since 1970. `sessions` are pppd's, by device, `open_sessions` the kernel's.
    `outside` are the users of this machine that must get past a full tunnel: chrony's, since a wrong clock may be why
    there is no tunnel; and the resolver's while it looks for the tunnel's far end.
    `lent_gateways` maps devices to the IPv4 gateway that came with the lease that networkd has there.
    `resolved` maps a host name to its addresses, the best first.
    `at_least` is what the time is known to be at least, in seconds since 1970 (supervisor/time_floor.py).
    """

    links: dict[str, ObservedLink] = field(default_factory=dict)
    devices: dict[str, ObservedDevice] = field(default_factory=dict)
    routes: frozenset[Route] = frozenset()
    rules: frozenset[Rule] = frozenset()
    defaults: tuple[DefaultRoute, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    ruleset: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    keys_made: dict[str, float] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, ObservedSession] = field(default_factory=dict)
    open_sessions: tuple[OpenSession, ...] = ()
    lent_gateways: dict[str, str] = field(default_factory=dict)
    resolved: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outside: tuple[int, ...] = ()
    kernel_wireguard: bool = False
    flow_offload: bool = False
    at_least: float = 0.0


def nothing(desired: Desired, files: bool = True) -> Desired:
    """What a box is that carries out nothing of this: no tunnel, no route, nothing passes. Its networks stay as their
    `files` say, or go as well.
    """
    return replace(
        desired,
        uplinks=(),
        links=desired.links if files else (),
        vlans=desired.vlans if files else (),
        files=desired.files if files else {},
        tunnels=(),
        leased=(),
        sessions=(),
        routes=(),
        rules=(),
        sysctls={"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"},
        ruleset=Ruleset("", ""),
        grants=(),
        doors=(),
    )


def tunnel_device(name: str, key: int = 1) -> str:
    """The interface of the tunnel `name` with the box's key number `key`: by turns one of two, so that two keys that
    follow each other can be in use at once, and neither's sessions end with the other."""
    return f"{TUNNEL_DEVICES[(key - 1) % 2]}{name}"


def tunnel_key(name: str, key: int = 1) -> str:
    """The name of the private key; no number ever has a second key, so that a roll-back finds the one that it had.
    A tunnel's name has no dot."""
    return f"wg-{name}" + (f".{key}" if key > 1 else "")
