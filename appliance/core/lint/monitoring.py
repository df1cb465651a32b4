"""Who may read metrics: somebody inside, whom the box can tell from others."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.site import Site, written
from appliance.core.model import BOX
from appliance.core.prefixes import prefix
from appliance.core.problems import Problem
from appliance.core.values import Network

INSTEAD = "write a network, a host or a peer inside"


def lint(site: Site) -> Iterator[Problem]:
    monitoring = site.config.monitoring
    readers = monitoring.readers if monitoring else []
    for position, reader in enumerate(readers):
        wrong = _zone(site, reader) if isinstance(reader, str) else _network(site, reader)
        wrong = wrong or ("this reader is written twice; remove one" if reader in readers[:position] else "")
        if wrong:
            yield Problem(("monitoring", "readers", position), wrong)


def _zone(site: Site, name: str) -> str:
    """What is wrong, "" for nothing."""
    zone = site.zone(name)
    if name == BOX:
        return "the box reads its own metrics without being named; remove it"
    if zone is None:
        return f"{name} is no interface, tunnel or peer{site.near_zone(name, also_box=False)}"
    if zone.kind == "uplink":
        return f"{name} is an uplink, and metrics are read from inside only; {INSTEAD}"
    return ""


def _network(site: Site, network: Network) -> str:
    at = prefix(network)
    tunnels = (address for tunnel in site.config.tunnels.values() for address in tunnel.addresses)
    owner = next(site.behind.around(at), None)
    if owner is None and any(prefix(address.network).holds(at) for address in tunnels):
        return ""
    if owner is None:
        return f"{written(network)} lies in no network inside; {INSTEAD}"
    if owner in site.uplinks:
        return f"{written(network)} lies in {owner}, an uplink, and metrics are read from inside only; {INSTEAD}"
    return ""
