"""The tunnels' own packets leave from the virtual address, or not at all (ip-rule(8))."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.model import Config
from appliance.core.pair.instances import instances
from appliance.core.pair.names import VIRTUAL_TABLE
from appliance.core.state import MAIN_TABLE, NO_TABLE, TUNNEL_MARK, TUNNEL_MARK_MASK, Rule

PRIORITY_VIRTUAL_NETWORKS = 5050
PRIORITY_NOT_MASTER_NETWORKS = 5055
PRIORITY_OTHER_NETWORKS = 5060
PRIORITY_VIRTUAL_DEFAULT = 5260
"""Behind the rules by which answers leave the uplink that was asked (5250), before those of full tunnels (5300)."""
PRIORITY_NOT_MASTER_DEFAULT = 5265


def pair_rules(config: Config, box: str) -> tuple[Rule, ...]:
    """Rules for packets with the tunnels' mark, per IP version that has a virtual address; none for a lone box.

    1. A peer in a network that has a virtual address is answered from that address.
    2. Without it the box is not master, and says nothing there.
    3. Whatever else is known better than by a default route (another LAN, a tunnel around a tunnel) stays as it is.
    4. Everything else leaves by the default route whose source is the virtual address.
    5. Without it the box is not master, and says nothing.

    Without the fourth a peer behind NAT hears from an address that it never spoke to. keepalived fills the table on the
    master; a box that never was one has nothing in it, one that was has routes whose source is gone (what takes them,
    firewall/marks.py drops). The supervisor mutes a backup's tunnels besides: all this holds without one.

    An uplink with an address of the box's own, or a lent one, is a way for a master's tunnels when the others are dead:
    beside one there is no fifth rule, and with several uplinks no second one for their networks.
    """
    rules: list[Rule] = []
    ways = [way for instance in instances(config, box) for way in instance.ways]
    for family in (4, 6):
        here = [way for way in ways if way.source.version == family]
        if not here:
            continue
        leading = [way for way in here if way.gateway]
        uplinks = _uplinks(config, box, family)
        all_move = bool(leading) and uplinks == {way.interface for way in leading}
        silent = [way for way in here if way.gateway is None or (all_move and len(uplinks) == 1)]
        rule = Rule(family, PRIORITY_VIRTUAL_NETWORKS, VIRTUAL_TABLE, mark=TUNNEL_MARK, mask=TUNNEL_MARK_MASK)
        dropped = replace(rule, priority=PRIORITY_NOT_MASTER_NETWORKS, table=NO_TABLE)
        rules.append(replace(rule, suppress_prefix_length=0))
        rules += [replace(dropped, destination=str(way.network)) for way in silent if way.network]
        rules.append(replace(rule, priority=PRIORITY_OTHER_NETWORKS, table=MAIN_TABLE, suppress_prefix_length=0))
        rules.append(replace(rule, priority=PRIORITY_VIRTUAL_DEFAULT))
        if all_move:
            rules.append(replace(dropped, priority=PRIORITY_NOT_MASTER_DEFAULT))
    return tuple(rules)


def _uplinks(config: Config, box: str, family: int) -> set[str]:
    """The names of those that have, or may be lent, a gateway of this IP version."""
    return {
        name
        for name, interface in config.boxes[box].interfaces.items()
        if any(gateway.version == family for gateway in interface.gateway)
        or any(isinstance(address, str) for address in interface.address)
    }
