"""One chain for each pair of zones that has rules, and what hangs below it.

Rules that speak of a whole zone stand in the chain. Rules that speak of one peer are found through verdict
maps, by source address, by destination address, or one after the other, so a packet costs the same whether
the tunnel has ten peers or ten thousand. A peer that may do everything has `accept` in the map; for others
the map leads to a chain, and peers that may do the same share one: every chain with a set takes the kernel a
tenth of a millisecond to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from appliance.core.firewall.grants import Grant, Reach
from appliance.core.firewall.text import chain, comment, elements
from appliance.core.firewall.zones import VERSIONS, Site, Zone

Peer = tuple[str, str]
"""A tunnel's name and a peer's name."""


@dataclass(slots=True)
class Branch:
    """What the rules about a peer, or about a whole zone, allow: grants, and grants towards single peers."""

    grants: list[Grant] = field(default_factory=list)
    towards: dict[Peer, Branch] = field(default_factory=dict)
    _content: Content | None = None

    def add(self, grant: Grant, destination: Peer | None) -> None:
        if destination:
            self.towards.setdefault(destination, Branch()).grants.append(grant)
        else:
            self.grants.append(grant)

    def everything(self) -> bool:
        return any(grant.reach.everything for grant in self.grants)

    def content(self) -> Content:
        """What it allows without where that is written: branches of equal content can share a chain. Asked for when
        the branch is complete."""
        if self._content is None:
            reaches = frozenset(grant.reach for grant in self.grants)
            self._content = reaches, frozenset((peer, branch.content()) for peer, branch in self.towards.items())
        return self._content

    def unplaced(self) -> Branch:
        """The same without the places in the file, which differ among those that share it."""
        reaches = dict.fromkeys(grant.reach for grant in self.grants)
        towards = {peer: branch.unplaced() for peer, branch in self.towards.items()}
        return Branch([Grant(reach, "as the map says") for reach in reaches], towards)

    def sources(self) -> Iterator[str]:
        for grant in self.grants:
            yield grant.source
        for branch in self.towards.values():
            yield from branch.sources()


Content = tuple[frozenset[Reach], frozenset[tuple[Peer, "Content"]]]


@dataclass(slots=True)
class Pair:
    """Everything that is allowed from one zone to another."""

    origin: Zone
    target: Zone
    everyone: Branch = field(default_factory=Branch)
    peers: dict[Peer, Branch] = field(default_factory=dict)
    forwards: list[str] = field(default_factory=list)
    """Rules that let port forwards through, as text."""

    @property
    def name(self) -> str:
        return f"{self.origin.name}_to_{self.target.name}"

    def add(self, grant: Grant, source: str | None, destination: str | None) -> None:
        branch = self.peers.setdefault((self.origin.name, source), Branch()) if source else self.everyone
        branch.add(grant, (self.target.name, destination) if destination else None)

    def chains(self, site: Site) -> list[str]:
        """The chains of the pair, those below before those that jump to them (nft wants it so)."""
        return _PairText(site, self).chains()


class _PairText:
    """Writes one pair; `below` collects the chains that its maps jump to."""

    def __init__(self, site: Site, pair: Pair) -> None:
        self.site = site
        self.pair = pair
        self.below: list[str] = []
        self.shared: dict[Content, str] = {}
        self.uses: dict[Content, int] = {}

    def chains(self) -> list[str]:
        pair = self.pair
        for branch in (*pair.peers.values(), *pair.everyone.towards.values()):
            content = branch.content()
            self.uses[content] = self.uses.get(content, 0) + 1
        rules = _grant_rules(pair.everyone.grants)
        rules += pair.forwards
        rules += self.maps("saddr", pair.peers, pair.target.name)
        rules += self.maps("daddr", pair.everyone.towards, pair.origin.name)
        return [*self.below, chain(pair.name, rules)]

    def maps(self, field_name: str, branches: dict[Peer, Branch], other: str) -> list[str]:
        """`ip saddr vmap { address : verdict }`, and the same for networks and IPv6, where there are such.

        Addresses have a map of their own since nft makes it a hash; one network among them would make it a
        tree, and a thousand laptops would pay for the one branch.
        """
        verdicts = {peer: self.verdict(field_name, peer, branch, other) for peer, branch in branches.items()}
        rules = []
        for version, header in VERSIONS:
            lines: tuple[list[str], list[str]] = ([], [])
            for (tunnel, name), verdict in verdicts.items():
                why = comment(f"{name}: {_joined(branches[tunnel, name].sources())}")
                for span in self.site.peer_spans(tunnel, version).get(name, ()):
                    lines["/" in span or "-" in span].append(f"{span}{why} : {verdict}")
            rules += [f"{header} {field_name} vmap {elements(some)}" for some in lines if some]
        return rules

    def verdict(self, field_name: str, peer: Peer, branch: Branch, other: str) -> str:
        if branch.everything():
            return "accept"
        content = branch.content()
        if self.uses.get(content, 0) > 1:
            if content not in self.shared:
                name = self.shared[content] = f"{self.pair.name}_alike_{len(self.shared) + 1}"
                why = f"What {self.uses[content]} peers may do; the map names them, and the lines that say so."
                self.below.append(chain(name, self.body(branch.unplaced(), name), why=(why,)))
            return f"jump {self.shared[content]}"
        label = ".".join(peer)
        name = f"{label}_to_{other}" if field_name == "saddr" else f"{other}_to_{label}"
        self.below.append(chain(name, self.body(branch, label)))
        return f"jump {name}"

    def body(self, branch: Branch, label: str) -> list[str]:
        return _grant_rules(branch.grants) + self.maps("daddr", branch.towards, label)


def _grant_rules(grants: Iterable[Grant]) -> list[str]:
    """The rules of several grants; one that allows everything comes first and ends the search."""
    ordered = sorted(grants, key=lambda grant: not grant.reach.everything)
    return [rule for grant in ordered for rule in grant.rules()]


def _joined(sources: Iterable[str]) -> str:
    """`firewall.allow[3], line 55; firewall.allow[4], line 56`."""
    return "; ".join(dict.fromkeys(sources))
