"""Networks that are written in two places: an address can be in one place only.

The widest come first, so each network needs to be compared only with those that lie around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from appliance.core.lint.site import Site
from appliance.core.prefixes import Prefix, PrefixTable, prefix
from appliance.core.problems import Path, Problem

INTERFACE, TUNNEL, ADDRESS, NETWORK = range(4)


class Claim(NamedTuple):
    """Somebody says that a network is his."""

    at: Prefix
    kind: int
    owner: str
    """The interface, the tunnel, or the peer as TUNNEL.PEER."""
    inside: str
    """The box of an interface; the tunnel of everything else."""
    path: Path
    text: str


def lint(site: Site) -> Iterator[Problem]:
    yield from _default_routes(site)
    claims = list(_claims(site))
    order = {claim.path: position for position, claim in enumerate(claims)}
    table: PrefixTable[Claim] = PrefixTable()
    blamed: set[Path] = set()
    for claim in sorted(claims, key=lambda claim: (claim.at.length, claim.kind)):
        for around in table.around(claim.at):
            # Interfaces stay, tunnels and then peers move; among equals the one that is written later.
            first, second = sorted((around, claim), key=lambda one: order[one.path])
            message = _conflict(first, second)
            if message:
                if second.path not in blamed:
                    blamed.add(second.path)
                    yield Problem(second.path, message)
                break
        else:
            table.add(claim.at, claim)


def _default_routes(site: Site) -> Iterator[Problem]:
    seen: dict[int, str] = {}
    for tunnel_name, _, peer_name, peer in site.peers():
        name = f"{tunnel_name}.{peer_name}"
        for position, network in enumerate(peer.networks):
            first = seen.setdefault(network.version, name) if not network.prefixlen else name
            if first != name:
                message = (
                    f"{first} has {network} already; everything can leave through one peer only, so keep it at one"
                )
                yield Problem(("tunnels", tunnel_name, "peers", peer_name, "networks", position), message)


def _claims(site: Site) -> Iterator[Claim]:
    for place in site.places:
        for position, written in enumerate(place.interface.address):
            if not isinstance(written, str) and not written.is_link_local:
                path: Path = (*place.path, "address", position)
                at = prefix(written.network)
                yield Claim(at, INTERFACE, place.name, place.box, path, str(written.network))
    for name, places in site.interfaces.items():
        for position, moving in enumerate(places[0].moving):
            if moving in places[0].only_moving and not moving.is_link_local:
                path = ("failover", "virtual_addresses", name, position)
                yield Claim(prefix(moving.network), INTERFACE, name, places[0].box, path, str(moving.network))
    for name, tunnel in site.config.tunnels.items():
        for position, own in enumerate(tunnel.addresses):
            if not own.is_link_local:
                path = ("tunnels", name, "addresses", position)
                yield Claim(prefix(own.network), TUNNEL, name, name, path, str(own.network))
    for tunnel_name, _, peer_name, peer in site.peers():
        owner = f"{tunnel_name}.{peer_name}"
        top: Path = ("tunnels", tunnel_name, "peers", peer_name)
        for position, address in enumerate(peer.address):
            yield Claim(prefix(address), ADDRESS, owner, tunnel_name, (*top, "address", position), str(address))
        for position, network in enumerate(peer.networks):
            if network.prefixlen:
                path = (*top, "networks", position)
                yield Claim(prefix(network), NETWORK, owner, tunnel_name, path, str(network))


def _conflict(first: Claim, second: Claim) -> str | None:
    """What is wrong when these two overlap, said at `second`; None when they may."""
    if second.kind == INTERFACE:
        if first.inside != second.inside or first.owner == second.owner:
            return None
        message = f"{second.text} overlaps {first.text} of {first.owner}"
        return f"{message}; each interface of a box stands in a network of its own"
    if second.kind == TUNNEL:
        if first.owner == second.owner:
            return None
        return f"{second.text} overlaps {first.text} of {first.owner}; give the tunnel a network of its own"
    if first.kind in (INTERFACE, TUNNEL):
        # A peer's address outside its tunnel's network is told as that; its networks may reach into its own tunnel's.
        if second.kind == ADDRESS or first.inside == second.inside:
            return None
        return _peer_in_ours(first, second)
    if first.inside != second.inside:
        return None if ADDRESS in (first.kind, second.kind) else _two_tunnels(first, second)
    return _two_peers(first, second)


def _peer_in_ours(first: Claim, second: Claim) -> str:
    what = f"the network of tunnel {first.owner}" if first.kind == TUNNEL else f"the network of {first.owner} here"
    message = f"{second.text} overlaps {first.text}, {what}"
    if second.at.length <= 3:
        everything = "0.0.0.0/0" if second.at.version == 4 else "::/0"
        return f"{message}; write {everything} for everything, which leaves the networks here alone"
    return f"{message}; write only what is behind this peer, or renumber one of the two networks"


def _two_tunnels(first: Claim, second: Claim) -> str:
    message = f"{second.text} overlaps {first.text} of {first.owner}, a peer of another tunnel"
    return f"{message}; a network is routed into one tunnel only, so keep it at one"


def _two_peers(first: Claim, second: Claim) -> str | None:
    if first.owner == second.owner:
        if first.at == second.at or (first.kind, second.kind) != (NETWORK, NETWORK):
            return None
        outer, inner = (first, second) if first.at.length < second.at.length else (second, first)
        return f"{inner.text} is a part of {outer.text}, which this peer has too; keep the one that is meant"
    if first.at == second.at:
        message = f"{second.text} is {first.owner}'s already, and the kernel would silently take it from one of the two"
        return f"{message}; give it to one peer only"
    outer, inner = (first, second) if first.at.length < second.at.length else (second, first)
    if inner is second:
        message = f"{inner.text} lies inside {outer.text} of {outer.owner}, and WireGuard would take it out of there"
    else:
        message = f"{inner.text} of {inner.owner} lies inside {outer.text}, and WireGuard would take it out of here"
    return f"{message}; write networks that do not overlap"
