"""Rules that name a zone that does not exist, and rules that no packet can ever match."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from appliance.core.lint.site import Site, Zone, listed, written
from appliance.core.model import BOX, AllowRule
from appliance.core.prefixes import prefix
from appliance.core.problems import Path, Problem
from appliance.core.values import Network


def lint(site: Site) -> Iterator[Problem]:
    for index, rule in enumerate(site.config.firewall.allow):
        path: Path = ("firewall", "allow", index)
        if rule.from_ == BOX:
            message = "what the box sends itself is never filtered; remove this rule, or write the zone that it is for"
            yield Problem((*path, "from"), message)
            continue
        source, target = site.zone(rule.from_), site.zone(rule.to)
        if source is None:
            message = f"{rule.from_} is no interface, tunnel or peer{site.near_zone(rule.from_, also_box=False)}"
            yield Problem((*path, "from"), message)
        if target is None:
            message = f"{rule.to} is no interface, tunnel or peer{site.near_zone(rule.to)}"
            yield Problem((*path, "to"), message)
        if source and target:
            yield from _never_matches(site, path, rule, source, target)


def _never_matches(site: Site, path: Path, rule: AllowRule, source: Zone, target: Zone) -> Iterator[Problem]:
    if source.name == target.name and source.kind != "tunnel":
        what = "a packet of a peer to itself" if source.kind == "peer" else f"what stays inside {source.name}"
        yield Problem(path, f"{what} does not cross the box, so this rule never matches; remove it")
        return
    common = source.versions & target.versions
    if not common and source.versions and target.versions:
        message = f"{source.name} has {_names(source)} only and {target.name} {_names(target)} only"
        yield Problem(path, f"{message}, so this rule never matches; remove it")
        return
    for position, host in enumerate(rule.hosts):
        if source.versions and host.version not in source.versions:
            wrong: str | None = (
                f"{source.name} has no IPv{host.version}, so nothing from it goes to {written(host)}; remove it"
            )
        else:
            wrong = _out_of_reach(site, host, target)
        if wrong:
            yield Problem((*path, "hosts", position), wrong)


def _names(zone: Zone) -> str:
    return " and ".join(f"IPv{version}" for version in sorted(zone.versions))


def _out_of_reach(site: Site, host: Network, target: Zone) -> str | None:
    """Why no packet to `host` leaves through `target`; None when one may."""
    at = prefix(host)
    if target.kind == BOX:
        if target.space.meets(at) or host.version in target.beyond:
            return None
        return f"the box has no address in {written(host)}; write one of its own, or remove `hosts`"
    # A zone's space leaves default routes out: those it has in `beyond`, and any narrower network wins over them.
    if target.space.meets(at):
        return None
    owner = next(site.behind.around(at), None)
    if owner:
        return f"{written(host)} is in {owner}, so no packet to it goes to {target.name}; write `to: {owner}`"
    if host.version in target.beyond:
        return None
    if not target.networks:
        return f"{target.name} has no peers yet, so {written(host)} cannot be in it; add the peer first, or remove this"
    has = listed([str(network) for network in islice(target.networks, 50)], 3)
    return f"nothing in {target.name} leads to {written(host)}; it has {has}, so write a host in there"
