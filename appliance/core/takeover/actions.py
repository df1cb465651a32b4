"""What a box of a pair is to do, in this order. Peers are TUNNEL.PEER. Each may be repeated without harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.core.state import Lease
from appliance.core.takeover.hello import Hello


@dataclass(frozen=True, slots=True)
class MuteTunnels:
    """The leased uplinks' links down, without giving a lease back, and every tunnel's. A userspace engine does not
    notice that: its peers are removed and added again too.

    Endpoints stay, sessions and the limiter of initiations go.
    """


@dataclass(frozen=True, slots=True)
class UnmuteTunnels:
    """Every tunnel's link up; each peer that has a keepalive is sent an initiation by that. Answer with Unmuted."""


@dataclass(frozen=True, slots=True)
class UseLeases:
    """The leased uplinks up, with these addresses and ways on until the network has confirmed them or lent others; of
    a PPPoE session among them the provider is told that it has ended."""

    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class NoteLeases:
    """What the leased uplinks have on the master changed: what is hidden behind it is to know, here as there."""

    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class SetKeepalive:
    """From 0 to another value on a link that is up, this starts a handshake where there is no session."""

    peers: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class CallPeers:
    """Starts handshakes: the keepalive to 0, then to `seconds`."""

    peers: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class ReAddPeers:
    """Removes and adds the peers, with preshared key, endpoint and the keepalive `seconds`: starts handshakes anew.

    An engine sends a peer no second initiation within 5 s (REKEY_TIMEOUT); a peer that is new to it has no such limit.
    """

    peers: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class CallPartner:
    """Starts a handshake on the pair link anew, as ReAddPeers does for others."""


@dataclass(frozen=True, slots=True)
class SetEndpoints:
    endpoints: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AddTunnelRoutes:
    """A link that goes down loses its routes."""


@dataclass(frozen=True, slots=True)
class AskRouter:
    """One ordinary ARP request for each uplink's router, from the virtual address.

    Some routers ignore gratuitous ARP, but learn from a question. IPv6 has nothing of the kind to make up for: a router
    takes an unsolicited advertisement for an address that it knows (RFC 4861, section 7.2.5).
    """


@dataclass(frozen=True, slots=True)
class AskUplinks:
    """Asks each uplink's gateway once more by ARP or ND. Answer at once, with UplinksRead, for the time before."""


@dataclass(frozen=True, slots=True)
class HoldForward:
    """Forwarded packets are dropped for a moment, so that none meets a connection table that lacks its entry."""

    on: bool


@dataclass(frozen=True, slots=True)
class CommitConnections:
    """`conntrackd -c`, `-f`, `-R`, without waiting; answer with Committed."""


@dataclass(frozen=True, slots=True)
class AskConnections:
    """`conntrackd -n`: the master is to send its connection table. Answer with ConnectionsReceived."""


@dataclass(frozen=True, slots=True)
class SendConnections:
    """`conntrackd -B`: sends the connection table to a partner that has come back."""


@dataclass(frozen=True, slots=True)
class TellPartner:
    """To be sent at once. Its `epoch` and `held` are to be kept in /run, for a supervisor that is started again."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class SetReady:
    """The file that keepalived tracks; `number` is one of pair/names.py."""

    number: int


@dataclass(frozen=True, slots=True)
class StepDown:
    """The same file: FAULT, so that the partner need not wait for adverts. SetReady follows within `step_down`."""


@dataclass(frozen=True, slots=True)
class StartKeepalived:
    pass


@dataclass(frozen=True, slots=True)
class StopKeepalived:
    pass


@dataclass(frozen=True, slots=True)
class DropVirtualAddresses:
    """Removes the virtual addresses and routes that a dead keepalived left behind."""


@dataclass(frozen=True, slots=True)
class DropVoice:
    """Removes the rule by which a master's tunnels have a way out. keepalived does so, but where it did not set it."""


@dataclass(frozen=True, slots=True)
class KeepVirtualAddresses:
    """Puts back the virtual addresses and routes that a keepalived took away in its last breath; only where none of its
    processes can act any more, for one that can cleans up and says so."""


@dataclass(frozen=True, slots=True)
class KeepVirtualRoutes:
    """Puts back the routes of the virtual addresses: with a link that goes down the kernel takes them away, and
    keepalived 2.3.3 does not look after those that it does not track."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Gratuitous ARP and unsolicited neighbour advertisements for every virtual address, once more."""


@dataclass(frozen=True, slots=True)
class ReadPeers:
    """Answer with PeersRead."""


@dataclass(frozen=True, slots=True)
class WriteFloor:
    """Writes the time floor to disk: `wall`, seconds since 1970."""

    wall: float


@dataclass(frozen=True, slots=True)
class StepClock:
    """The clock is not trusted and below the floor: set it to at least `wall`. Answer with Clock."""

    wall: float


@dataclass(frozen=True, slots=True)
class Note:
    """For the log; the last of each topic stands in the report. "" ends the topic."""

    topic: str
    text: str


type Action = (
    MuteTunnels
    | UnmuteTunnels
    | UseLeases
    | NoteLeases
    | SetKeepalive
    | CallPeers
    | ReAddPeers
    | CallPartner
    | SetEndpoints
    | AddTunnelRoutes
    | AskRouter
    | AskUplinks
    | HoldForward
    | CommitConnections
    | AskConnections
    | SendConnections
    | TellPartner
    | SetReady
    | StepDown
    | StartKeepalived
    | StopKeepalived
    | DropVirtualAddresses
    | DropVoice
    | KeepVirtualAddresses
    | KeepVirtualRoutes
    | Announce
    | ReadPeers
    | WriteFloor
    | StepClock
    | Note
)
