"""The tunnels' own packets leave from the virtual address, or not at all (ip-rule(8))."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.model import Config
from appliance.core.pair.instances import instances
from appliance.core.pair.names import VIRTUAL_TABLE
from appliance.core.state import MAIN_TABLE, NO_TABLE, TUNNEL_MARK, TUNNEL_MARK_MASK, Rule

PRIORITY_MASTER = 5040
PRIORITY_NOT_MASTER = 5045
PRIORITY_VIRTUAL_NETWORKS = 5050
PRIORITY_NO_VIRTUAL_NETWORKS = 5055
PRIORITY_OTHER_NETWORKS = 5060
PRIORITY_VIRTUAL_DEFAULT = 5260
"""Behind the rules by which answers leave the uplink that was asked (5250), before those of full tunnels (5300)."""
PRIORITY_NO_VIRTUAL_DEFAULT = 5265


def pair_rules(config: Config, box: str) -> tuple[Rule, ...]:
    """Rules for packets with the tunnels' mark; none for a lone box.

    1. A box that is not master says nothing. (`voice_rules` lead its master past this.)
    2. A peer in a network that has a virtual address is answered from that address,
    3. or not at all.
    4. Whatever else is known better than by a default route (another LAN, a tunnel around a tunnel) stays as it is.
    5. Everything else leaves by the default route whose source is the virtual address,
    6. or not at all.

    Without the fifth a peer behind NAT hears from an address that it never spoke to. keepalived fills the table on the
    master. The third and the sixth are for a master whose table is not whole: a link took its routes with it. The
    supervisor mutes a backup's tunnels besides: all this holds without one.

    Of an IP version without a virtual address only the first and the fourth are there. An uplink with an address of the
    box's own, or a lent one, is a way for a master's tunnels when the others are dead: beside one there is no sixth
    rule, and with several uplinks no third one for their networks.
    """
    rules: list[Rule] = []
    found = instances(config, box)
    ways = [way for instance in found for way in instance.ways]
    for family in (4, 6) if found else ():
        here = [way for way in ways if way.source.version == family]
        rule = Rule(family, PRIORITY_VIRTUAL_NETWORKS, VIRTUAL_TABLE, mark=TUNNEL_MARK, mask=TUNNEL_MARK_MASK)
        dropped = replace(rule, priority=PRIORITY_NOT_MASTER, table=NO_TABLE)
        others = replace(rule, priority=PRIORITY_OTHER_NETWORKS, table=MAIN_TABLE, suppress_prefix_length=0)
        rules.append(dropped)
        if not here:
            rules.append(others)
            continue
        leading = [way for way in here if way.gateway]
        uplinks = _uplinks(config, box, family)
        all_move = bool(leading) and uplinks == {way.interface for way in leading}
        silent = [way for way in here if way.gateway is None or (all_move and len(uplinks) == 1)]
        rules.append(replace(rule, suppress_prefix_length=0))
        nowhere = replace(dropped, priority=PRIORITY_NO_VIRTUAL_NETWORKS)
        rules += [replace(nowhere, destination=str(way.network)) for way in silent if way.network]
        rules += [others, replace(rule, priority=PRIORITY_VIRTUAL_DEFAULT)]
        if all_move:
            rules.append(replace(dropped, priority=PRIORITY_NO_VIRTUAL_DEFAULT))
    return tuple(rules)


def voice_rules(config: Config, box: str) -> tuple[Rule, ...]:
    """The master's: behind the first of `pair_rules`, as if it were not there. keepalived sets them, and removes them
    with the role, whatever becomes of the supervisor."""
    rules = pair_rules(config, box)
    found = [rule for rule in rules if rule.priority == PRIORITY_NOT_MASTER]
    return tuple(replace(rule, priority=PRIORITY_MASTER, goto=_behind(rule, rules)) for rule in found)


def _behind(first: Rule, rules: tuple[Rule, ...]) -> int:
    return min(one.priority for one in rules if one.family == first.family and one.priority > first.priority)


def _uplinks(config: Config, box: str, family: int) -> set[str]:
    """The names of those that have, or may be lent, a gateway of this IP version."""
    return {
        name
        for name, interface in config.boxes[box].interfaces.items()
        if any(gateway.version == family for gateway in interface.gateway)
        or any(isinstance(address, str) for address in interface.address)
    }
