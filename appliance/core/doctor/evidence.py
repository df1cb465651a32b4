"""What the doctor knows: the answers to its questions, gathered within a few seconds (shell/doctoring.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.core.doctor.power import Power
from appliance.core.doctor.wire import Overheard
from appliance.core.peers import endpoint_parts

NO_SUCH_NAME = "the name does not exist"
NO_ANSWER = "no name server answered"


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """A PPPoE session over `card`. `ended` is how pppd's last attempt ended, None while it is up or not tried."""

    card: str
    dials: bool = True
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class UplinkSeen:
    """`gateways` are those it knows, `answering` those of them that answered ARP or ND just now.

    `elsewhere`: its only address, its lease or its session is the other box's at this moment, so that nothing here is
    amiss.
    """

    name: str
    device: str
    present: bool = True
    carrier: bool = True
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    answering: tuple[str, ...] = ()
    elsewhere: bool = False
    mtu: int = 0
    session: SessionSeen | None = None


@dataclass(frozen=True, slots=True)
class NameServer:
    address: str
    answers: bool


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a name said, just now and not from a cache. `trouble` is "" where it has addresses."""

    name: str
    addresses: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """`offset`: seconds that this clock is ahead of the time server's; None where no time server answered."""

    synchronised: bool = True
    server: str = ""
    offset: float | None = None


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """A peer, and what came of calling it. Bytes are those of the time that was listened.

    `called`: something was sent to it. `pings`: its endpoint's host answers a ping; `echoes`: the peer does, through
    the tunnel; None where it was not asked. `echoes_from`: the same from this box's addresses on networks inside.
    `idle`: it had no session when the doctor came.
    """

    tunnel: str
    name: str
    public_key: str = ""
    endpoint: str = ""
    endpoint_wanted: str = ""
    handshake_age: float | None = None
    keepalive: int = 0
    preshared_key: bool = False
    allowed_ips: tuple[str, ...] = ()
    called: bool = False
    received: int = 0
    pings: bool | None = None
    echoes: bool | None = None
    echoes_from: tuple[tuple[str, bool], ...] = ()
    idle: bool = False

    @property
    def host(self) -> str:
        """The endpoint's host as written, "" where the peer calls us."""
        return endpoint_parts(self.endpoint_wanted)[0]

    @property
    def address(self) -> str:
        """Where it is called: the address of the endpoint in use."""
        return endpoint_parts(self.endpoint)[0]

    @property
    def port(self) -> str:
        return endpoint_parts(self.endpoint)[1]

    @property
    def answered(self) -> bool:
        """Something came that is more than the initiations of handshakes (148 bytes, whitepaper section 5.4.2)."""
        return bool(self.echoes) or (self.received > 0 and self.received % 148 != 0)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who began a handshake with this box, as only the box's private key shows. Its clock is so many seconds `ahead` of
    this box's."""

    there: str
    tunnel: str
    public_key: str
    ahead: float = 0.0


@dataclass(frozen=True, slots=True)
class TunnelSeen:
    """`lost` is how many bytes the peers sent that did not come out of the interface, of `received`."""

    name: str
    device: str
    public_key: str = ""
    listen_port: int = 0
    engine: str = ""
    engine_wanted: str = ""
    received: int = 0
    lost: int = 0
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class Disk:
    path: str
    free: int
    total: int
    """Bytes."""
    files_left: int = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """An address of this box that somebody else on the same network answers for."""

    device: str
    address: str
    mac: str


class Overlap(NamedTuple):
    """A peer's device whose own network has the addresses of a network inside; it said so itself."""

    peer: str
    network: str


@dataclass(frozen=True, slots=True)
class PathSize:
    """A host that answers small pings: the largest packet that comes back whole, of those that were tried.

    `told`: a router on the way said how much it carries (ICMP), so that everybody can adapt.
    """

    address: str
    device: str
    whole: int
    largest_tried: int
    told: bool = False


@dataclass(frozen=True, slots=True)
class Partner:
    """The other box, and this one."""

    role: str
    partner: str
    partner_role: str
    alive: bool
    heard_ago: float
    in_step: bool
    ahead: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """`supervisor`: "" where it answers, otherwise what became of it; `hangs` where it runs all the same. `dropped`,
    `dropped_here`, `spoofed`: packets that no rule allowed to be passed on, or to come in to the box, and those whose
    source cannot be true where they arrived, while it was listened. `sentences` are what `status` says by itself.
    `module`: the file of the kernel's WireGuard, where there is one that the kernel could not load. `hosts`: those
    inside that let calls from elsewhere go unanswered, and whether they answer this box's pings."""

    supervisor: str = ""
    hangs: bool = False
    box: str = ""
    refused: tuple[str, ...] = ()
    uplinks: tuple[UplinkSeen, ...] = ()
    name_servers: tuple[NameServer, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    clock: Clock = field(default_factory=Clock)
    tunnels: tuple[TunnelSeen, ...] = ()
    peers: tuple[PeerSeen, ...] = ()
    callers: tuple[Caller, ...] = ()
    overheard: Overheard = field(default_factory=Overheard)
    dropped: int = 0
    dropped_here: int = 0
    spoofed: int = 0
    disks: tuple[Disk, ...] = ()
    power: Power = field(default_factory=Power)
    module: str = ""
    taken: tuple[Taken, ...] = ()
    beside: tuple[Taken, ...] = ()
    """The other box's own addresses, and the cards that answered for them."""
    hosts: tuple[tuple[str, bool], ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    paths: tuple[PathSize, ...] = ()
    partner: Partner | None = None
    sentences: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    """The devices of the networks inside, tunnels included."""
