"""Who may read the box's metrics (monitoring: in appliance.yaml), and at which of its addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from appliance.core.firewall.spans import network_text
from appliance.core.firewall.zones import VERSIONS, Site


class Reader(NamedTuple):
    """Somebody who may read: whoever sends from these `networks` on one of `devices`; none stands for any."""

    devices: tuple[str, ...]
    networks: tuple[str, ...]
    source: str
    """Where in the file it stands."""


def readers(site: Site) -> Iterator[Reader]:
    """Those that this box can hear: an interface may be the other box's alone."""
    monitoring = site.config.monitoring
    for index, reader in enumerate(monitoring.readers if monitoring else ()):
        source = site.source("monitoring", "readers", index)
        if not isinstance(reader, str):
            if found := site.zone_of(reader):
                yield Reader(found.devices, (network_text(reader),), source)
        elif (zone := site.zone(reader)) and zone.peer:
            own = [span for version, _ in VERSIONS for span in site.peer_spans(zone.name, version).get(zone.peer, ())]
            # A peer whose addresses all belong to others, too, sends nothing.
            if own:
                yield Reader(zone.devices, tuple(own), source)
        elif zone:
            yield Reader(zone.devices, (), source)


def listen_file(site: Site) -> str:
    """Every address inside, one a line. Those of uplinks are not among them."""
    config = site.config
    found = [each for lan in site.lans.values() for each in lan.address if not isinstance(each, str)]
    if config.failover:
        found += [each for lan in site.lans for each in config.failover.virtual_addresses.get(lan, ())]
    found += [each for tunnel in config.tunnels.values() for each in tunnel.addresses]
    lines = dict.fromkeys(f"{each.ip}\n" for each in found)
    return "# Written by appliance from appliance.yaml; changes here are undone.\n" + "".join(lines)
