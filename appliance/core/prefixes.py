"""Prefixes as integers, which cost a tenth of what ipaddress does; and ways to look up that stay fast with thousands.

Two prefixes are either disjoint or one contains the other. So everything around a prefix is found by asking, for
each prefix length in use, for the one prefix of that length that could contain it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from appliance.core.values import Address, Network

BITS = {4: 32, 6: 128}


class Prefix(NamedTuple):
    """A network: IP version, first address, prefix length."""

    version: int
    first: int
    length: int

    @property
    def last(self) -> int:
        return self.first | ((1 << (BITS[self.version] - self.length)) - 1)

    def holds(self, other: Prefix) -> bool:
        """True when every address of `other` is one of this prefix."""
        return self.version == other.version and self.length <= other.length and self.cut(other) == self.first

    def cut(self, other: Prefix) -> int:
        """The first address of the prefix of this length around `other`."""
        shift = BITS[self.version] - self.length
        return other.first >> shift << shift


def prefix(value: Address | Network) -> Prefix:
    """An address counts as the network that has only this address."""
    if isinstance(value, IPv4Network | IPv6Network):
        return Prefix(value.version, int(value.network_address), value.prefixlen)
    return Prefix(value.version, int(value), value.max_prefixlen)


def address_text(version: int, value: int) -> str:
    """An address as people write it."""
    if version == 4:
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
    return str(IPv6Address(value))


def prefix_text(at: Prefix) -> str:
    """`192.168.20.0/24`, a host as `192.168.20.7/32`."""
    return f"{address_text(at.version, at.first)}/{at.length}"


def collapsed(prefixes: Iterable[Prefix]) -> list[Prefix]:
    """The fewest prefixes with the same addresses, in order; ipaddress.collapse_addresses takes ten times as long."""
    found: list[Prefix] = []
    for one in sorted(prefixes):
        # Sorted so that what holds others comes before them.
        if found and found[-1].holds(one):
            continue
        found.append(one)
        while len(found) > 1 and (both := _joined(*found[-2:])):
            found[-2:] = [both]
    return found


def _joined(left: Prefix, right: Prefix) -> Prefix | None:
    """The prefix that these two are the halves of."""
    if left.length != right.length or left.version != right.version or not left.length:
        return None
    both = Prefix(left.version, left.first, left.length - 1)
    return both if both.cut(left) == left.first and both.holds(right) else None


class PrefixTable[T]:
    """Things by the prefix that they stand for; several may stand for one prefix."""

    def __init__(self) -> None:
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        self._entries: dict[Prefix, list[T]] = {}

    def add(self, at: Prefix, thing: T) -> None:
        self._entries.setdefault(at, []).append(thing)
        lengths = self._lengths[at.version]
        if at.length not in lengths:
            lengths.append(at.length)
            lengths.sort(reverse=True)

    def at(self, exactly: Prefix) -> Sequence[T]:
        """What stands for this very prefix."""
        return self._entries.get(exactly, ())

    def around(self, inner: Prefix) -> Iterator[T]:
        """What stands for a prefix that contains `inner` or equals it, the narrowest first."""
        version, first, inner_length = inner
        bits = BITS[version]
        for length in self._lengths[version]:
            if length <= inner_length:
                shift = bits - length
                yield from self._entries.get(Prefix(version, first >> shift << shift, length), ())


class Space:
    """A set of addresses, made of prefixes."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._lasts: dict[int, list[int]] = {4: [], 6: []}
        for one in sorted(prefixes):
            firsts, lasts = self._firsts[one.version], self._lasts[one.version]
            # Sorted by first address and nested or disjoint: what is not beyond the last end lies inside it.
            if not lasts or one.first > lasts[-1]:
                firsts.append(one.first)
                lasts.append(one.last)

    def meets(self, other: Prefix) -> bool:
        """True when at least one address of `other` is in this set."""
        at = bisect_right(self._firsts[other.version], other.last)
        return at > 0 and self._lasts[other.version][at - 1] >= other.first
