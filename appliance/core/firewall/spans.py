"""Which addresses are whose, when networks lie inside one another."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from appliance.core.prefixes import BITS, Prefix, address_text, prefix, prefix_text
from appliance.core.values import Network


class Span[Owner](NamedTuple):
    """Addresses in a row that have one owner, written as nft does: an address, a prefix, or first-last."""

    text: str
    owner: Owner


class _Open[Owner]:
    """A network that the sweep is inside of; `free` is its first address that is not given away yet."""

    __slots__ = ("at", "first", "free", "last", "owner")

    def __init__(self, at: Prefix, owner: Owner) -> None:
        self.at = at
        self.owner = owner
        self.first = self.free = at.first
        self.last = at.last


def spans[Owner](owned: Iterable[tuple[Prefix, Owner]]) -> list[Span[Owner]]:
    """Takes prefixes of one IP version with their owners; returns spans that do not overlap, in order.

    An address belongs to the smallest network around it, as in routing and in WireGuard's cryptokey routing
    (drivers/net/wireguard/allowedips.c). Of two owners of the same network the later one has it, as in the
    kernel. nft refuses sets whose intervals overlap, hence the cutting.
    """
    found: list[Span[Owner]] = []
    around: list[_Open[Owner]] = []

    def close(entry: _Open[Owner], until: int) -> None:
        if entry.free <= until:
            found.append(Span(_text(entry, until), entry.owner))

    for at, owner in sorted(dict(owned).items(), key=itemgetter(0)):
        entry = _Open(at, owner)
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
        return _written(entry.at)
    first, last = address_text(entry.at.version, entry.free), address_text(entry.at.version, until)
    return first if first == last else f"{first}-{last}"


def network_text(network: Network) -> str:
    """`192.168.20.0/24`, and a host without its length."""
    return _written(prefix(network))


def _written(at: Prefix) -> str:
    return address_text(at.version, at.first) if at.length == BITS[at.version] else prefix_text(at)
