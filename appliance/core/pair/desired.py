"""Config → what a box should be as one of two."""

from __future__ import annotations

from appliance.core.model import Config
from appliance.core.pair.addresses import (
    pair_addresses,
    pair_endpoints,
    partner_of,
    usable_address,
)
from appliance.core.pair.instances import instances, role_line, virtual_routes, weighing_devices
from appliance.core.pair.names import PAIR_PORT
from appliance.core.pair.routing import pair_rules, voice_rules
from appliance.core.state import NO_TABLE, Hearing, Pair, Router, VirtualAddress


def desired_pair(config: Config, box: str) -> Pair | None:
    """The pair from one box's side; None for a box that stands alone."""
    partner, ends = partner_of(config, box), pair_endpoints(config, box)
    if partner is None or ends is None or config.failover is None:
        return None
    own, other = pair_addresses(config, box)
    interfaces = config.boxes[box].interfaces
    found = instances(config, box)
    moving = [one for instance in found for one in (*instance.moving, *instance.carried)]
    routers = []
    for name, interface in interfaces.items():
        for version in (4, 6):
            virtual = usable_address(config, name, version)
            gateway = next((each for each in interface.gateway if each.version == version), None)
            if virtual and gateway:
                routers.append(Router(interface.device, str(virtual.ip), str(gateway)))
    return Pair(
        partner=partner,
        preferred=config.failover.prefer == box,
        begins=(config.failover.prefer or next(iter(config.boxes))) == box,
        holds=config.failover.prefer is None,
        device=interfaces[config.failover.pair_link].device,
        own=str(own),
        partner_address=str(other),
        partner_endpoint=f"[{ends[1]}]:{PAIR_PORT}" if ends[1].version == 6 else f"{ends[1]}:{PAIR_PORT}",
        virtual_addresses=tuple(VirtualAddress(one.device, str(one.address), one.deprecated) for one in moving),
        virtual_routes=tuple(route for instance in found for route in virtual_routes(config, box, instance)),
        routers=tuple(routers),
        router_id=config.failover.virtual_router_id,
        hearing=tuple(Hearing(one.device, (str(one.own), str(one.partner))) for one in found),
        role_line=role_line(config, box),
        weighing=weighing_devices(config, box),
        silence=tuple(rule for rule in pair_rules(config, box) if rule.table == NO_TABLE),
        voice=voice_rules(config, box),
    )
