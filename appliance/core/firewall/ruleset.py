"""The whole ruleset of one box, as the text of one file for `nft -f`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from appliance.core.firewall.grants import Grant, reach_of
from appliance.core.firewall.input import STATES, input_chains
from appliance.core.firewall.marks import mark_chains
from appliance.core.firewall.mss import mss_chains
from appliance.core.firewall.nat import admit_forwards, nat_chains
from appliance.core.firewall.pairs import Pair
from appliance.core.firewall.partner import partner_chains
from appliance.core.firewall.spoofing import spoofing_chains
from appliance.core.firewall.text import INDENT, chain, comment, elements, quoted
from appliance.core.firewall.zones import LineOf, Site, devices
from appliance.core.model import BOX, Config
from appliance.core.pppoe import as_packets_meet_it

TABLE = "inet appliance"

_COUNTERS = {
    "dropped_input": "sent to the box, which does not answer that",
    "dropped_forward": "to be passed on, which no rule allows",
    "invalid": "fits no connection",
    "spoofed": "a source that cannot be true",
}
_TABLE_IS = "written by appliance from appliance.yaml; edits by hand are undone"
"""The kernel keeps the comment with which the table was first made, hence the same in closed.nft."""
_FLOWTABLE = "fast"


def render(config: Config, box: str, line: LineOf, *, offload: bool = False) -> str:
    """Takes a checked configuration, the box's name, and the line in appliance.yaml of each path; returns the text
    that replaces what is in our table in one transaction. No other table is touched.

    The table is emptied and filled, not deleted and made anew: every packet meets either all old rules or all new
    ones. A base chain that is deleted stays hooked for a while after the new generation began, without the elements
    of its maps, and its policy drops what comes by (net/netfilter/nf_tables_api.c, nf_tables_commit); that costs
    milliseconds of traffic at every change. Named counters go on counting, too. Chains that the text does not have
    any more are empty afterwards; whoever loads it may delete them (adapters/nft.py).

    `offload` sends established connections past the forward chain through a flowtable: only for kernels that
    have flowtables, and only when every device of the box exists, since nft refuses one over a missing device.
    """
    return render_both(config, box, line)[offload]


def render_both(config: Config, box: str, line: LineOf) -> tuple[str, str]:
    """The text without and with flow offload; they share all that takes time."""
    config = as_packets_meet_it(config)
    site = Site(config, box, line)
    pairs, elsewhere = _pairs(site)
    admit_forwards(site, pairs)
    between = [pair for pair in pairs.values() if pair.target.name != BOX]
    to_box = [pair for pair in pairs.values() if pair.target.name == BOX]
    before = [
        *spoofing_chains(site),
        *mark_chains(config, box),
        *(text for pair in to_box for text in pair.chains(site)),
        *input_chains(site, [f'"{device}" : jump {pair.name}' for pair in to_box for device in pair.origin.devices]),
        *(text for pair in between for text in pair.chains(site)),
    ]
    after = [*partner_chains(site), *mss_chains(site), *nat_chains(site)]
    head = _head(site, elsewhere)

    def whole(flowtable: list[str], forward: str) -> str:
        body = "\n".join([_counters(), *flowtable, *before, forward, *after]).rstrip("\n")
        return f"{head}\ntable {TABLE} {{\n{body}\n}}\n"

    return whole([], _forward(between, False)), whole([_flowtable(site)], _forward(between, True, _sessions(site)))


def _pairs(site: Site) -> tuple[dict[tuple[str, str], Pair], list[str]]:
    """The allow rules by the zones they join, and the places of those that speak of another box."""
    pairs: dict[tuple[str, str], Pair] = {}
    elsewhere = []
    for index, rule in enumerate(site.config.firewall.allow):
        source = site.source("firewall", "allow", index)
        origin, target = site.zone(rule.from_), site.zone(rule.to)
        if origin is None or target is None or origin.name == BOX:
            elsewhere.append(source)
            continue
        names = (origin.name, target.name)
        if names not in pairs:
            pairs[names] = Pair(origin, target)
        pair = pairs[names]
        pair.add(Grant(reach_of(rule), source), origin.peer, target.peer)
    return pairs, elsewhere


def _head(site: Site, elsewhere: list[str]) -> str:
    lines = [
        f"# The firewall of box {site.box} at {site.config.site}, from appliance.yaml: change that one.",
        "# One transaction: our table is made if it is not there, emptied of its rules, and filled. A packet meets all",
        "# of the old rules or all of the new ones.",
        *(f"# Not for this box: {source}" for source in elsewhere),
        "",
        f"table {TABLE} {{{comment(_TABLE_IS)}; }}",
        f"flush table {TABLE}",
    ]
    return "\n".join(lines)


def _counters() -> str:
    lines = [f"{INDENT}counter {name} {{{comment(why)} }}" for name, why in _COUNTERS.items()]
    return "\n".join(lines) + "\n"


def _flowtable(site: Site) -> str:
    lasting = [interface for interface in site.interfaces.values() if not interface.pppoe]
    over = ", ".join(f'"{device}"' for device in devices(lasting))
    return (
        f"{INDENT}flowtable {_FLOWTABLE} {{\n"
        f"{INDENT * 2}hook ingress priority filter; devices = {{ {over} }};\n"
        f"{INDENT}}}\n"
    )


def _sessions(site: Site) -> list[str]:
    return devices(interface for interface in site.interfaces.values() if interface.pppoe)


def _forward(pairs: list[Pair], offload: bool, sessions: Sequence[str] = ()) -> str:
    """`sessions`: devices that come and go with a PPPoE session, whose connections do not take the short way: a flow
    table holds on to the device."""
    rules = []
    if offload:
        lasting = f"iifname != {quoted(sessions)} oifname != {quoted(sessions)} " if sessions else ""
        fast = f"{lasting}ct state established meta l4proto {{ tcp, udp }} flow add @{_FLOWTABLE}"
        rules.append(fast + comment("the rest of the connection takes the short way"))
    rules += STATES
    if pairs:
        lines = [
            f'"{origin}" . "{target}" : jump {pair.name}'
            for pair in pairs
            for origin, target in product(pair.origin.devices, pair.target.devices)
        ]
        rules.append(f"iifname . oifname vmap {elements(lines)}")
    rules += [
        f"counter name dropped_forward{comment('everything else; the policy drops it')}",
        'limit rate 5/second burst 5 packets log prefix "appliance forward: "',
    ]
    why = (
        "ICMP and ICMPv6 errors pass as related to their connection (RFC 4890 section 4.3); neighbour",
        "discovery is never forwarded.",
    )
    return chain("forward", rules, "type filter hook forward priority filter; policy drop;", why)
