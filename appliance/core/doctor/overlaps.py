"""The same addresses on two networks: whoever stands in one of them never reaches the other."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from appliance.core.doctor.evidence import Evidence, UplinkSeen
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.firewall import Rules


def overlaps(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """An uplink's network, which a lease may bring, and the network that a colleague is in."""
    for uplink in evidence.uplinks:
        for network in _networks(uplink):
            for name, other in _others(evidence, rules):
                if _clash(network, other, uplink):
                    yield Finding(
                        "overlapping-networks",
                        uplink.name,
                        f"The network of uplink {uplink.name} is the same as {name}'s, so hosts of one of the two are "
                        "not reached.",
                        (f"{uplink.device} is in {network}, and {name} has {other}",),
                        f"give the router in front of {uplink.device} another network, or {name}",
                    )
    for each in evidence.overlaps:
        yield Finding(
            "overlapping-networks",
            each.peer,
            f"{each.peer} cannot reach {each.network} from where it is: the network that it is in there has the same "
            "addresses.",
            (
                "it answers this box from the tunnel's address, and not from an address in that network",
                f"it says itself that {each.network} is the network that it stands in",
            ),
            "give the network there other addresses, best the office's, which many others use as well; until then, a "
            "full tunnel without access to the local network helps some devices",
        )


def _clash(network: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network, uplink: UplinkSeen) -> bool:
    """A part of the uplink's network may well be behind a tunnel; not all of it, and not the gateway."""
    if network.version != other.version or not network.overlaps(other):
        return False
    inside = any(ip_address(gateway) in other for gateway in uplink.gateways)
    return other.prefixlen == network.prefixlen or (other.prefixlen > network.prefixlen and inside)


def _networks(uplink: UplinkSeen) -> list[IPv4Network | IPv6Network]:
    found = [ip_interface(each).network for each in uplink.addresses if not each.startswith("fe80:")]
    return [network for network in found if network.num_addresses > 1]


def _others(evidence: Evidence, rules: Rules | None) -> Iterator[tuple[str, IPv4Network | IPv6Network]]:
    if rules:
        for name in rules.site.lans:
            for network in rules.site.subnets(name):
                yield name, network
    for peer in evidence.peers:
        for each in peer.allowed_ips:
            yield peer.name, ip_network(each)
