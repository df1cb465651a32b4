"""What the boxes of a pair tell each other, several times a second, over the pair link. Converts with core/codec.py."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.core.state import Lease

SCHEMA = 1

BOOT = "boot"
STANDBY = "backup"
ACTIVE = "master"
YIELDING = "yielding"
"""Roles. Only a box that says `master` is unmuted; `yielding` is one that VRRP made master while the partner is it."""

type Stamp = tuple[int, int]
"""Epoch of the master that wrote an endpoint down, and its count of such notes."""

NEVER: Stamp = (0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a peer is, and how many seconds before the hello it was last active."""

    peer: str
    endpoint: str
    age: float
    stamp: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Living:
    """An uplink whose gateway answered the last two questions; the first was asked `ago` seconds before the hello."""

    name: str
    ago: float


@dataclass(frozen=True, slots=True)
class Hello:
    """One box's state. What is lost is repeated, what is late or doubled is told by `incarnation` and `sequence`."""

    box: str
    incarnation: str
    """Drawn anew whenever the supervisor starts."""
    sequence: int
    role: str
    epoch: int
    """The highest that this box knows; when it is master, its own."""
    held: int = 0
    """The last epoch in which it was master itself."""
    master_for: float = 0.0
    """Seconds since it became master, 0 when it is not."""
    promoted_ago: float = -1.0
    shaken_ago: float = -1.0
    """Seconds since it last became master, and since the last handshake that it had as master; below 0: never."""
    digest: str = ""
    generation: int = 0
    """Of the confirmed configuration."""
    floor: float = 0.0
    """Seconds since 1970: a handshake may have carried this time already."""
    clock: float = 0.0
    """The sender's clock, seconds since 1970, when it is synchronised; 0 when it is not."""
    ready: bool = False
    """It could take the role."""
    handing_over: bool = False
    ask: bool = False
    """To be answered at once."""
    heard_incarnation: str = ""
    heard: int = 0
    """The partner's last hello that arrived here."""
    uplinks: tuple[Living, ...] = ()
    lost_links: int = 0
    """Its networks without a link, each of which costs it priority."""
    losses: tuple[float, ...] = ()
    """How many seconds ago the partner lost the role without having handed it over, each time."""
    version: tuple[int, int] = NEVER
    """How far the sender's table of endpoints goes."""
    since: tuple[int, int] = NEVER
    until: tuple[int, int] = NEVER
    entries: tuple[Entry, ...] = ()
    """All that changed in the table after `since`, up to `until`."""
    leases: tuple[Lease, ...] = ()
    """Of the sender's uplinks, when it is master; their seconds count from now."""
    schema: int = SCHEMA
