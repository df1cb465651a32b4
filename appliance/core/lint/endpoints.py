"""Endpoints: a tunnel's own packets must find a way to the peer that does not lead into the tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from appliance.core.lint.site import Site
from appliance.core.model import Tunnel
from appliance.core.prefixes import PrefixTable, prefix
from appliance.core.problems import Path, Problem
from appliance.core.values import Address, Network


def lint(site: Site) -> Iterator[Problem]:
    speaks = {version for place in site.places for version in place.versions}
    for name, tunnel in site.config.tunnels.items():
        inside = _routed_into(tunnel)
        for peer_name, peer in tunnel.peers.items():
            if peer.endpoint is None or peer.endpoint.is_name:
                continue
            path: Path = ("tunnels", name, "peers", peer_name, "endpoint")
            address = ip_address(peer.endpoint.host)
            own = site.own.get(prefix(address))
            around = next(inside.around(prefix(address)), None)
            if own:
                yield Problem(path, f"{address} is {own}; write where the peer listens")
            elif around is not None:
                where = "" if around == address else f" lies in {around}, which"
                message = f"{address}{where} is routed into this tunnel, so its packets would run in a circle"
                yield Problem(path, f"{message}; write the peer's address outside the tunnel")
            elif address.version not in speaks:
                message = f"no interface has IPv{address.version}, so {address} cannot be reached"
                yield Problem(path, f"{message}; write a name, or an IPv{10 - address.version} address")


def _routed_into(tunnel: Tunnel) -> PrefixTable[Address | Network]:
    """What the routes of a tunnel lead into it. Default routes spare its own packets by their mark."""
    table: PrefixTable[Address | Network] = PrefixTable()
    for own in tunnel.addresses:
        table.add(prefix(own.network), own.network)
    for peer in tunnel.peers.values():
        for value in (*peer.address, *peer.networks):
            if prefix(value).length:
                table.add(prefix(value), value)
    return table
