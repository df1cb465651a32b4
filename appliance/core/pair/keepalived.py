"""keepalived.conf(5), built and printed with keepalived-config.

VRRPv3 (RFC 9568), one instance per network and IP version, all in one sync group. What a box does when a state
changes is not here: keepalived says it through a FIFO, and the supervisor acts.
"""

from __future__ import annotations

from collections.abc import Iterable

from keepalived_config import (
    KeepAlivedConfig,
    KeepAlivedConfigBlock,
    KeepAlivedConfigComment,
    KeepAlivedConfigParam,
)

from appliance.core.model import Config
from appliance.core.pair.addresses import partner_of
from appliance.core.pair.instances import Instance, Moving, instances, on_one_network, virtual_routes, weighing_devices
from appliance.core.pair.names import GROUP, NOTIFY_FIFO, READY_FILE
from appliance.core.pair.priorities import LOST_LINK, priority
from appliance.core.pair.routing import voice_rules
from appliance.core.state import MAIN_TABLE, Rule, VirtualRoute

_ANNOUNCE_AGAIN_SECONDS = 60
_READY = "ready"

Block = KeepAlivedConfigBlock
Param = KeepAlivedConfigParam


def keepalived_conf(config: Config, box: str) -> str:
    """The whole file for one box of a pair; empty for a box that stands alone."""
    partner = partner_of(config, box)
    if partner is None or config.failover is None:
        return ""
    found = instances(config, box)
    blocks = [_globals(config, box, partner), _ready()]
    if len(found) > 1:
        blocks.append(_group(config, box, found))
    blocks += [_instance(config, box, each, found) for each in found]
    tree = KeepAlivedConfig(blocks)
    return "\n".join(block.to_str() + "\n" for block in tree.params)


def _globals(config: Config, box: str, partner: str) -> KeepAlivedConfigBlock:
    head = f"The failover of {box} with {partner}. Written by appliance from appliance.yaml; changes here are undone."
    # No vrrp_rt_priority: keepalived 2.3.3 then kills its own VRRP process for its CPU time (RLIMIT_RTTIME) soon after
    # every reload, which is a takeover. The unit gives it real-time scheduling (docs/keepalived.md).
    return _block(
        "global_defs",
        [
            # No script is ever run, but a user for them must be known before the FIFO is named: without one a start
            # passes and the first reload ends keepalived.
            ("script_user", "root"),
            ("enable_script_security", ""),
            ("router_id", f"{config.site}-{box}"),
            ("vrrp_version", 3),
            ("vrrp_garp_master_delay", 1),
            ("vrrp_garp_master_refresh", _ANNOUNCE_AGAIN_SECONDS),
            # Two masters meet: the one that yields says so, and the one that stays announces itself once more.
            ("vrrp_higher_prio_send_advert", "true"),
            ("vrrp_garp_lower_prio_repeat", 1),
            ("vrrp_garp_lower_prio_delay", 0),
            ("notify_fifo", NOTIFY_FIFO),
            ("vrrp_notify_priority_changes", "true"),
            ("fifo_write_vrrp_states_on_reload", ""),
            ("reload_check_config", ""),
            # A network card that is gone must not keep the box from serving the other networks.
            ("dynamic_interfaces", ""),
            ("max_auto_priority", -1),
        ],
        comments=[head],
    )


def _ready() -> KeepAlivedConfigBlock:
    why = "What the supervisor writes there is added to the priority; nothing counts as 0."
    return _block(f"track_file {_READY}", [("file", f'"{READY_FILE}"'), ("weight", 1)], comments=[why])


def _group(config: Config, box: str, found: list[Instance]) -> KeepAlivedConfigBlock:
    block = Block("vrrp_sync_group", GROUP)
    block.add_param(_block("group", [(each.name, "") for each in found]))
    for tracked in _tracked(config, box):
        block.add_param(tracked)
    return block


def _tracked(config: Config, box: str) -> Iterable[KeepAlivedConfigBlock]:
    """What moves the priority. A device whose loss is FAULT by itself cannot have a weight besides."""
    links = [(device, f"weight {LOST_LINK}") for device in weighing_devices(config, box)]
    if links:
        yield _block("track_interface", links)
    yield _block("track_file", [(_READY, "")])


def _instance(config: Config, box: str, instance: Instance, found: list[Instance]) -> KeepAlivedConfigBlock:
    assert config.failover is not None
    block = _block(
        f"vrrp_instance {instance.name}",
        [
            ("state", "BACKUP"),
            ("interface", instance.device),
            # Where the boxes hear each other on several networks, losing one of them is a matter of priority; where
            # there is one only, a box without it cannot know that the other has taken over: FAULT.
            *([] if on_one_network(found) else [("dont_track_primary", "")]),
            ("virtual_router_id", config.failover.virtual_router_id),
            ("priority", priority(config, box)),
            ("advert_int", _seconds(config.failover.advert_seconds)),
            ("unicast_src_ip", instance.own),
            # IPv6 would say 64 (keepalived 2.3.3), and the partner believes 255 only: no router was on the way.
            ("unicast_ttl", 255),
        ],
    )
    if len(found) == 1:
        for tracked in _tracked(config, box):
            block.add_param(tracked)
    block.add_param(_block("unicast_peer", [(str(instance.partner), "min_ttl 255")]))
    if instance.moving:
        block.add_param(_block("virtual_ipaddress", map(_address, instance.moving)))
    else:
        block.add_param(Param("no_virtual_ipaddress"))
    if instance.carried:
        block.add_param(_block("virtual_ipaddress_excluded", map(_address, instance.carried)))
    routes = map(_route, virtual_routes(config, box, instance))
    if instance.ways:
        block.add_param(_block("virtual_routes", routes))
    if instance is next(each for each in found if each.interface == config.failover.pair_link):
        # With whichever instance they come, they come with the role. This one is there in any case: rules that pass
        # from one instance to another are gone after a reload (docs/keepalived.md).
        block.add_param(_block("virtual_rules", map(_rule, voice_rules(config, box))))
    return block


def _address(moving: Moving) -> tuple[str, str]:
    # An address on another device than its instance's would be a reason for FAULT when that device loses its carrier;
    # with no_track its weight decides.
    if not moving.spare:
        return str(moving.address), f"dev {moving.device} no_track"
    return str(moving.address), f"dev {moving.device}{' preferred_lft 0' if moving.deprecated else ''}"


def _route(route: VirtualRoute) -> tuple[str, str]:
    """no_track: that somebody deletes a route is no reason to give up the role."""
    words = [f"via {route.gateway}"] if route.gateway else []
    words += ["dev", route.device, "src", route.source]
    words += ["table", str(route.table)] if route.table != MAIN_TABLE else []
    words += ["metric", str(route.metric)] if route.metric else []
    return route.destination, " ".join((*words, "no_track"))


def _rule(rule: Rule) -> tuple[str, str]:
    """`inet6` comes last: keepalived 2.3.3 skips the word behind it."""
    assert rule.mark is not None and rule.mask is not None
    words = f"{rule.mark:#x}/{rule.mask:#x} goto {rule.goto} priority {rule.priority} no_track"
    return "fwmark", words + (" inet6" if rule.family == 6 else "")


def _seconds(value: float) -> str:
    """Hundredths of a second are what VRRPv3 can say (RFC 9568 section 5.2.7)."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _block(title: str, lines: Iterable[tuple[str, object]], comments: Iterable[str] = ()) -> KeepAlivedConfigBlock:
    block = Block(title, comments=[KeepAlivedConfigComment(line) for line in comments])
    for name, value in lines:
        block.add_param(Param(name, str(value)))
    return block
