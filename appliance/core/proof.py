"""What worked before a change, and whether it works after it. Pure: readings go in, sentences come out.

A fact is something that was seen to work under the configuration before, and that the new one does not take away on
purpose: a peer or an uplink that is in the file no more is not missed. A fact counts as proven when it was seen to
work again after the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from appliance.core.in_force import SESSION_SECONDS
from appliance.core.state import OLD, ON_LINK, Desired, DesiredPeer, Door, Observed, ObservedPeer, Uplink

GATEWAY = "gateway"
PEER = "peer"
MANAGEMENT = "management"
PARTNER = "partner"

_HANDSHAKE_BYTES = (92, 148)
"""A response, an initiation (whitepaper, section 5.4): a peer that has sent nothing else has not decrypted ours."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`name` is an uplink, a peer (TUNNEL.PEER), an administrator's address, or the partner box.

    `public_key` and `port` belong to peers and to administrators.
    """

    kind: str
    name: str
    public_key: str = ""
    port: int = 0

    def __str__(self) -> str:
        match self.kind:
            case "gateway":
                return f"the gateway of {self.name} answers"
            case "peer":
                return f"{self.name} exchanges data"
            case "management":
                return f"new connections from {self.name} to port {self.port} get in"
            case _:
                return f"{self.name} is heard"


@dataclass(frozen=True, slots=True)
class Readings:
    """What the box sees at one moment.

    `answering` are the (device, address) of neighbours that answered; `way` is the device by which the administrator
    is reached, "" for none; `partner` whether the other box is heard; `wall` in seconds since 1970.
    """

    observed: Observed
    answering: frozenset[tuple[str, str]] = frozenset()
    way: str = ""
    partner: bool = False
    wall: float = 0.0


def worked(desired: Desired, before: Readings, administrator: tuple[str, int] | None, muted: bool) -> tuple[Fact, ...]:
    """The facts of a box that runs `desired`. `administrator`: address and port at which he is connected.

    A box that is not master has no peers to show.
    """
    return tuple(_worked(desired, before, administrator, muted))


def _worked(desired: Desired, before: Readings, administrator: tuple[str, int] | None, muted: bool) -> Iterator[Fact]:
    for uplink in desired.uplinks:
        if any((uplink.device, gateway) in before.answering for gateway in gateways(uplink, before.observed)):
            yield Fact(GATEWAY, uplink.name)
    for tunnel in desired.tunnels:
        device = before.observed.devices.get(tunnel.device)
        for peer in tunnel.peers if device and tunnel.moves and not muted else ():
            state = device.peers.get(peer.public_key) if device else None
            if state and _alive(state, before.wall):
                yield Fact(PEER, peer.name, peer.public_key)
    if administrator and admitted(desired.doors, before.way, *administrator):
        yield Fact(MANAGEMENT, administrator[0], port=administrator[1])
    if desired.pair and before.partner:
        yield Fact(PARTNER, desired.pair.partner)


@dataclass(frozen=True, slots=True)
class Expected:
    """The facts that a new configuration does not take away on purpose, with the peers that they are about."""

    desired: Desired
    facts: tuple[Fact, ...]
    peers: Mapping[Fact, tuple[tuple[str, DesiredPeer], ...]]
    """Each with its tunnel's device; two of these while the box's own key is replaced, of which one will do."""


def expected(facts: tuple[Fact, ...], desired: Desired) -> Expected:
    """What of `facts` must work under `desired`."""
    uplinks = {uplink.name for uplink in desired.uplinks}
    partner = desired.pair.partner if desired.pair else None
    all_peers = [(tunnel.device, peer) for tunnel in desired.tunnels for peer in tunnel.peers]
    by_key: dict[str, tuple[tuple[str, DesiredPeer], ...]] = {}
    by_name: dict[str, tuple[tuple[str, DesiredPeer], ...]] = {}
    for device, peer in all_peers:
        by_key[peer.public_key] = (*by_key.get(peer.public_key, ()), (device, peer))
        by_name[peer.name] = (*by_name.get(peer.name, ()), (device, peer))
    whole = {tunnel.name for tunnel in desired.tunnels}
    kept: list[Fact] = []
    peers: dict[Fact, tuple[tuple[str, DesiredPeer], ...]] = {}
    for fact in facts:
        # One that was renamed, or whose key is being replaced, is still the same peer by its key; one whose key changed
        # is by its name.
        found = (by_key.get(fact.public_key) or by_name.get(fact.name)) if fact.kind == PEER else None
        tunnel = fact.name.partition(".")[0]
        if tunnel.endswith(OLD) and tunnel not in whole:
            # It used the box's old key, which ends on purpose.
            found = None
        gone = {
            PEER: found is None,
            GATEWAY: fact.name not in uplinks,
            PARTNER: fact.name != partner,
        }
        if gone.get(fact.kind):
            continue
        if found:
            peers[fact] = found
        kept.append(fact)
    return Expected(desired, tuple(kept), peers)


def proven(fact: Fact, wanted: Expected, began: Readings, now: Readings) -> bool:
    """Whether the fact was seen to work since `began`, which was read right after the change."""
    match fact.kind:
        case "gateway":
            uplinks = (uplink for uplink in wanted.desired.uplinks if uplink.name == fact.name)
            return any((u.device, each) in now.answering for u in uplinks for each in gateways(u, now.observed))
        case "peer":
            return any(
                _spoke(_state(began.observed, device, peer), _state(now.observed, device, peer))
                for device, peer in wanted.peers[fact]
            )
        case "management":
            return admitted(wanted.desired.doors, now.way, fact.name, fact.port)
        case _:
            return now.partner


def gateways(uplink: Uplink, observed: Observed) -> tuple[str, ...]:
    """Where an uplink leads at this moment."""
    found = tuple(each.gateway for each in observed.defaults if each.device == uplink.device)
    return tuple(dict.fromkeys((*uplink.gateways, *found)))


def sessions(observed: Observed) -> frozenset[tuple[str, str]]:
    """The ways out by PPPoE, as neighbours that answered: pppd asks its other end (LCP echo), and there is no other."""
    return frozenset((each.device, each.gateway) for each in observed.defaults if each.gateway in ON_LINK)


def inside(peer: DesiredPeer) -> str | None:
    """An address behind the peer; a packet to it makes the peer say something."""
    for text in peer.allowed_ips:
        network = ip_network(text)
        if network.prefixlen:
            return str(network.network_address if network.num_addresses == 1 else network.network_address + 1)
    return None


def admitted(doors: tuple[Door, ...], device: str, address: str, port: int) -> bool:
    """Whether the box lets a new TCP connection from there in, where answers would leave by `device`."""
    return any(device in door.devices and _covers(door.sources, address) and _open(door.ports, port) for door in doors)


def _covers(sources: tuple[str, ...], address: str) -> bool:
    try:
        wanted = ip_address(address)
    except ValueError:
        return False
    return not sources or any(wanted in ip_network(source) for source in sources)


def _open(ports: tuple[str, ...], port: int) -> bool:
    for text in ports:
        protocol, _, span = text.partition("/")
        first, _, last = span.partition("-")
        if protocol == "tcp" and int(first) <= port <= int(last or first):
            return True
    return not ports


def _alive(state: ObservedPeer, wall: float) -> bool:
    return bool(state.last_handshake) and wall - state.last_handshake < SESSION_SECONDS and bool(state.received)


def _state(observed: Observed, device: str, peer: DesiredPeer) -> ObservedPeer | None:
    found: Mapping[str, ObservedPeer] = observed.devices[device].peers if device in observed.devices else {}
    return found.get(peer.public_key)


def _spoke(before: ObservedPeer | None, now: ObservedPeer | None) -> bool:
    """Something else than the messages of one handshake has arrived from the peer."""
    if now is None:
        return False
    came = now.received - (before.received if before and before.received <= now.received else 0)
    return came > 0 and came not in _HANDSHAKE_BYTES
