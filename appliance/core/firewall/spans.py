"""Which addresses are whose, when networks lie inside one another."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from operator import itemgetter
from typing import NamedTuple

from appliance.core.values import Network


class Span[Owner](NamedTuple):
    """Addresses in a row that have one owner, written as nft does: an address, a prefix, or first-last."""

    text: str
    owner: Owner


class _Open[Owner]:
    """A network that the sweep is inside of; `free` is its first address that is not given away yet."""

    __slots__ = ("first", "free", "last", "network", "owner")

    def __init__(self, network: Network, owner: Owner) -> None:
        self.network = network
        self.owner = owner
        self.first = self.free = int(network.network_address)
        self.last = self.first + (1 << (network.max_prefixlen - network.prefixlen)) - 1


def spans[Owner](owned: Iterable[tuple[Network, Owner]]) -> list[Span[Owner]]:
    """Takes networks of one IP version with their owners; returns spans that do not overlap, in order.

    An address belongs to the smallest network around it, as in routing and in WireGuard's cryptokey routing
    (drivers/net/wireguard/allowedips.c). Of two owners of the same network the later one has it, as in the
    kernel. nft refuses sets whose intervals overlap, hence the cutting.
    """
    found: list[Span[Owner]] = []
    around: list[_Open[Owner]] = []

    def close(entry: _Open[Owner], until: int) -> None:
        if entry.free <= until:
            found.append(Span(_text(entry, until), entry.owner))

    places = {(int(network.network_address), network.prefixlen): (network, owner) for network, owner in owned}
    for _, (network, owner) in sorted(places.items(), key=itemgetter(0)):
        entry = _Open(network, owner)
        while around and around[-1].last < entry.first:
            done = around.pop()
            close(done, done.last)
            if around:
                around[-1].free = done.last + 1
        if around:
            if around[-1].owner == owner:
                continue
            close(around[-1], entry.first - 1)
        around.append(entry)
    while around:
        done = around.pop()
        close(done, done.last)
        if around:
            around[-1].free = done.last + 1
    return found


def _text[Owner](entry: _Open[Owner], until: int) -> str:
    if entry.free == entry.first and until == entry.last:
        return network_text(entry.network)
    address = IPv4Address if isinstance(entry.network, IPv4Network) else IPv6Address
    first, last = address(entry.free), address(until)
    return str(first) if first == last else f"{first}-{last}"


def network_text(network: Network) -> str:
    """`192.168.20.0/24`, and a host without its length."""
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)
