"""Rules that another rule makes needless, because it lets everything pass that they do.

Each rule is taken apart into its cells: one destination, one range of ports. The widest cells come first, so what
could cover a cell is there already, and a covered cell need not be kept. A rule all of whose cells are covered can
go, and so can all such rules together: whatever covers a cell belongs, in the end, to a rule that stays.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from appliance.core.lint.site import Site, listed
from appliance.core.model import AllowRule
from appliance.core.prefixes import Prefix, PrefixTable, prefix
from appliance.core.problems import Problem
from appliance.core.services import PING, SERVICES
from appliance.core.values import Ports

MOST_CELLS = 100_000
"""A file of the allowed size can multiply hosts by ports into more cells than anybody waits for; those beyond this
number are not looked at. A thousand rules of a real office are a few thousand cells."""

EVERY_PORT = Ports("any", 0, 65535)
ECHO = Ports("icmp", 0, 0)
EVERY_HOST = (Prefix(4, 0, 0), Prefix(6, 0, 0))

Pair = tuple[str, str]


class Cell(NamedTuple):
    rule: int
    size: int
    """How many cells its rule has."""
    pair: Pair
    host: Prefix
    ports: Ports

    def width(self) -> tuple[int, int, bool, int, int, int]:
        """Smaller for what is wider. Of equal cells the one of the larger rule, since the smaller may be all in it."""
        dots = self.pair[0].count(".") + self.pair[1].count(".")
        narrow = self.ports.protocol != EVERY_PORT.protocol
        return dots, self.host.length, narrow, self.ports.first - self.ports.last, -self.size, self.rule


class Kept:
    """Ranges of ports, none of which contains another: the last to begin before a range is the one to contain it."""

    def __init__(self, ports: Ports, rule: int) -> None:
        self._ranges: dict[str, list[tuple[int, int, int]]] = {ports.protocol: [(ports.first, ports.last, rule)]}

    def add(self, ports: Ports, rule: int) -> None:
        insort(self._ranges.setdefault(ports.protocol, []), (ports.first, ports.last, rule))

    def covering(self, ports: Ports) -> int | None:
        """The rule whose range contains `ports`."""
        every = self._ranges.get(EVERY_PORT.protocol)
        if every:
            return every[0][2]
        ranges = self._ranges.get(ports.protocol, [])
        at = bisect_right(ranges, (ports.first, 65536, 0))
        if at and ranges[at - 1][1] >= ports.last:
            return ranges[at - 1][2]
        return None


def lint(site: Site) -> Iterator[Problem]:
    kept: dict[Pair, PrefixTable[Kept]] = {}
    cells = sorted(_cells(site), key=Cell.width)
    rules = {cell.rule for cell in cells}
    stays: set[int] = set()
    covered_by: dict[int, set[int]] = {}
    for cell in cells:
        other = _covering(kept, cell)
        if other is None:
            stays.add(cell.rule)
            _keep(kept, cell)
        elif other != cell.rule:
            covered_by.setdefault(cell.rule, set()).add(other)
    for rule in sorted(rules - stays):
        others = sorted(covered_by.get(rule, ()))
        names = listed([f"firewall.allow[{other}]" for other in others])
        message = f"this rule can go: {names} already {'allows' if len(others) == 1 else 'allow'} all of it"
        yield Problem(("firewall", "allow", rule), message)


def _cells(site: Site) -> Iterator[Cell]:
    count = 0
    rules = site.config.firewall.allow
    # Most peers of a large tunnel have one rule each, and nothing that could cover it or be covered by it.
    written = Counter((rule.from_, rule.to) for rule in rules)
    related = {pair for pair, count in written.items() if count > 1}
    for pair in written:
        if others := [other for other in _wider(pair) if other != pair and other in written]:
            related.update(others, [pair])
    for index, rule in enumerate(rules):
        pair = (rule.from_, rule.to)
        if pair not in related or site.zone(rule.from_) is None or site.zone(rule.to) is None:
            continue
        hosts = tuple(map(prefix, rule.hosts)) or EVERY_HOST
        ports = _ports(rule)
        size = len(hosts) * len(ports)
        count += size
        if count > MOST_CELLS:
            return
        yield from (Cell(index, size, pair, host, one) for host in hosts for one in ports)


def _ports(rule: AllowRule) -> tuple[Ports, ...]:
    if not rule.services and not rule.ports:
        return (EVERY_PORT,)
    named = [port for service in rule.services for port in SERVICES[service]]
    return (*named, *rule.ports, *([ECHO] if PING in rule.services else []))


def _covering(kept: dict[Pair, PrefixTable[Kept]], cell: Cell) -> int | None:
    for pair in _wider(cell.pair):
        table = kept.get(pair)
        for ranges in table.around(cell.host) if table else ():
            rule = ranges.covering(cell.ports)
            if rule is not None:
                return rule
    return None


@lru_cache
def _wider(pair: Pair) -> tuple[Pair, ...]:
    """The pair itself, and those with the tunnel of a peer in its place."""
    sources, targets = ({zone.partition(".")[0]: None, zone: None} for zone in pair)
    return tuple((source, target) for source in sources for target in targets)


def _keep(kept: dict[Pair, PrefixTable[Kept]], cell: Cell) -> None:
    table = kept.get(cell.pair)
    if table is None:
        table = kept[cell.pair] = PrefixTable()
    ranges = table.at(cell.host)
    if ranges:
        ranges[0].add(cell.ports, cell.rule)
    else:
        table.add(cell.host, Kept(cell.ports, cell.rule))
