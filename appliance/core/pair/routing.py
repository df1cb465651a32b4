"""The tunnels' own packets leave from the virtual address, whatever else the box has (ip-rule(8))."""

from __future__ import annotations

from appliance.core.model import Config
from appliance.core.pair.instances import instances
from appliance.core.pair.names import VIRTUAL_TABLE
from appliance.core.state import MAIN_TABLE, TUNNEL_MARK, TUNNEL_MARK_MASK, Rule

PRIORITY_VIRTUAL_NETWORKS = 5050
PRIORITY_OTHER_NETWORKS = 5060
PRIORITY_VIRTUAL_DEFAULT = 5260
"""Behind the rules by which answers leave the uplink that was asked (5250), before those of full tunnels (5300)."""


def pair_rules(config: Config, box: str) -> tuple[Rule, ...]:
    """Rules for packets with the tunnels' mark, per IP version that has a virtual address; none for a lone box.

    1. A peer in a network that has a virtual address is answered from that address.
    2. Whatever else is known better than by a default route (another LAN, a tunnel around a tunnel) stays as it is.
    3. Everything else leaves by the default route whose source is the virtual address.

    Without the third a peer behind NAT hears from an address that it never spoke to. On a backup the table is empty
    and the search goes on; a backup sends nothing anyway.
    """
    rules: list[Rule] = []
    ways = [way for instance in instances(config, box) for way in instance.ways]
    for family in (4, 6):
        if not any(way.source.version == family for way in ways):
            continue
        for priority, table, suppress in (
            (PRIORITY_VIRTUAL_NETWORKS, VIRTUAL_TABLE, 0),
            (PRIORITY_OTHER_NETWORKS, MAIN_TABLE, 0),
            (PRIORITY_VIRTUAL_DEFAULT, VIRTUAL_TABLE, None),
        ):
            rule = Rule(
                family, priority, table, mark=TUNNEL_MARK, mask=TUNNEL_MARK_MASK, suppress_prefix_length=suppress
            )
            rules.append(rule)
    return tuple(rules)
