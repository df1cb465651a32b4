"""What can happen to a box of a pair. `now` is a monotonic clock's time in seconds, `wall` is in seconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.core.state import USERSPACE, Lease
from appliance.core.takeover.hello import Hello

MASTER = "MASTER"
BACKUP = "BACKUP"
FAULT = "FAULT"
STOP = "STOP"


@dataclass(frozen=True, slots=True)
class Peer:
    """A configured peer: TUNNEL.PEER, its keepalive in seconds (0: none), and what runs its tunnel."""

    name: str
    keepalive: int = 0
    engine: str = USERSPACE

    @property
    def tunnel(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Reading:
    """A peer as its engine has it: `last_handshake` in seconds since 1970 (0: never), bytes received and sent."""

    endpoint: str | None
    last_handshake: float
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Started:
    """The supervisor runs. `floor` is the time floor on disk; `trusted`: the clock is synchronised.

    A supervisor that was killed finds the box at work: `keepalived` runs and is `vrrp`, the tunnels are `unmuted`,
    `epoch` and `held` of its last hello are known, whether the last takeover was `settled` (Phases.done), and whether
    the role was `given_away` on request; what cannot be seen is kept in /run. At boot these are as they stand here, and
    `remembered` says where each peer was before it.
    """

    now: float
    wall: float
    floor: float = 0.0
    trusted: bool = False
    keepalived: bool = False
    vrrp: str = ""
    unmuted: bool = False
    epoch: int = 0
    held: int = 0
    settled: bool = True
    given_away: bool = False
    remembered: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vrrp:
    """keepalived's notification about the sync group. Of several in the FIFO only the last counts."""

    state: str
    now: float


@dataclass(frozen=True, slots=True)
class MasterSeenLowerPriority:
    """keepalived's MASTER_RX_LOWER_PRI: somebody else sends adverts as master, with a lower priority."""

    now: float


@dataclass(frozen=True, slots=True)
class KeepalivedStarted:
    now: float


@dataclass(frozen=True, slots=True)
class KeepalivedDied:
    """Its process is gone, or could not be started."""

    now: float


@dataclass(frozen=True, slots=True)
class PartnerHello:
    hello: Hello
    now: float


@dataclass(frozen=True, slots=True)
class PartnerForeign:
    """The partner's hello is of another schema than hello.SCHEMA: what it says cannot be understood."""

    schema: int
    now: float


@dataclass(frozen=True, slots=True)
class StrangerAdvert:
    """Somebody who is not the partner sends VRRP with the pair's router ID."""

    network: str
    source: str
    router_id: int
    now: float


@dataclass(frozen=True, slots=True)
class PartnerGone:
    """Known for certain, ahead of the timer: the other box said goodbye, or the pair link lost its carrier."""

    now: float


@dataclass(frozen=True, slots=True)
class Handshake:
    """An engine completed a handshake with `peer`; where an engine tells, instead of being read."""

    peer: str
    now: float


@dataclass(frozen=True, slots=True)
class PeersRead:
    """A reading of the engines, by peer. Only what an engine answered stands in it."""

    readings: Mapping[str, Reading]
    now: float


@dataclass(frozen=True, slots=True)
class EngineStarted:
    """A tunnel's engine was started again and has its peers, without endpoints and sessions."""

    tunnel: str
    now: float


@dataclass(frozen=True, slots=True)
class Committed:
    """CommitConnections is done."""

    now: float


@dataclass(frozen=True, slots=True)
class Unmuted:
    """UnmuteTunnels is done."""

    now: float


@dataclass(frozen=True, slots=True)
class ConnectionsReceived:
    """The connection table of the master has arrived here."""

    now: float


@dataclass(frozen=True, slots=True)
class LeasesRead:
    """What is lent to this box's uplinks at this moment."""

    leases: tuple[Lease, ...]
    now: float


@dataclass(frozen=True, slots=True)
class LinksRead:
    """The devices that have no link, of those that count for the VRRP priority; told whenever they are others.

    `heard`: the other box hears this one on every network on which it listens. `deaf`: this one has no link on any of
    them.
    """

    lost: tuple[str, ...]
    heard: bool
    now: float
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class UplinksRead:
    """By uplink, whether its gateway answered the last AskUplinks but one; only those that can be asked.

    `learned` are those whose gateway a lease names: the master alone has it, and can ask. `sessions`, some of these,
    are dialled (PPPoE); whether one is up, LeasesRead says.
    """

    answers: Mapping[str, bool]
    now: float
    learned: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    digest: str
    generation: int
    peers: tuple[Peer, ...]
    now: float


@dataclass(frozen=True, slots=True)
class HandoverAsked:
    """`forgive`: a person asks; what this box gave away for a dead line it may have again."""

    now: float
    forgive: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock was set, or became `trusted` (synchronised). `stuck`: it was to be set, and could not be."""

    wall: float
    trusted: bool
    now: float
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class Stalled:
    """The box stood still for so many seconds. To be told before anything that waited in the meantime."""

    seconds: float
    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    """`next_deadline` has come."""

    now: float


type Event = (
    Started
    | Vrrp
    | MasterSeenLowerPriority
    | KeepalivedStarted
    | KeepalivedDied
    | PartnerHello
    | PartnerForeign
    | StrangerAdvert
    | PartnerGone
    | Handshake
    | PeersRead
    | EngineStarted
    | Committed
    | Unmuted
    | ConnectionsReceived
    | LeasesRead
    | LinksRead
    | UplinksRead
    | ConfigurationChanged
    | HandoverAsked
    | Clock
    | Stalled
    | Tick
)
