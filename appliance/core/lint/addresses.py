"""Addresses that no host can have, wherever the file names a host."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from appliance.core.lint.site import Site
from appliance.core.prefixes import PrefixTable, prefix
from appliance.core.problems import Path, Problem
from appliance.core.values import Address

NO_HOST = {
    "0.0.0.0/8": 'means "this host" (RFC 1122)',
    "127.0.0.0/8": "is a loopback address",
    "224.0.0.0/4": "is a multicast address",
    "240.0.0.0/4": "is reserved (RFC 1112)",
    "::/128": 'means "no address"',
    "::1/128": "is the loopback address",
    "::ffff:0:0/96": "is an IPv4 address in IPv6 clothes (RFC 4291)",
    "ff00::/8": "is a multicast address",
}


def lint(site: Site) -> Iterator[Problem]:
    table: PrefixTable[str] = PrefixTable()
    for network, words in NO_HOST.items():
        table.add(prefix(ip_network(network)), words)
    for path, address in _hosts(site):
        for words in table.around(prefix(address)):
            yield Problem(path, f"{address} {words}; write the address of a host")
    for position, server in enumerate(site.config.dns):
        own = site.own.get(prefix(server))
        if own:
            message = f"{server} is {own}, and the box would ask itself; write the provider's name server"
            yield Problem(("dns", position), message)


def _hosts(site: Site) -> Iterator[tuple[Path, Address]]:
    config = site.config
    for place in site.places:
        for position, written in enumerate(place.interface.address):
            if not isinstance(written, str):
                yield (*place.path, "address", position), written.ip
        for position, gateway in enumerate(place.interface.gateway):
            yield (*place.path, "gateway", position), gateway
    for position, server in enumerate(config.dns):
        yield ("dns", position), server
    if config.failover:
        for name, addresses in config.failover.virtual_addresses.items():
            for position, virtual in enumerate(addresses):
                yield ("failover", "virtual_addresses", name, position), virtual.ip
    for name, tunnel in config.tunnels.items():
        for position, own in enumerate(tunnel.addresses):
            yield ("tunnels", name, "addresses", position), own.ip
    for tunnel_name, _, peer_name, peer in site.peers():
        path: Path = ("tunnels", tunnel_name, "peers", peer_name)
        for position, address in enumerate(peer.address):
            yield (*path, "address", position), address
        if peer.endpoint and not peer.endpoint.is_name:
            yield (*path, "endpoint"), ip_address(peer.endpoint.host)
    for index, forward in enumerate(config.firewall.port_forwards):
        yield ("firewall", "port_forwards", index, "to"), forward.to
