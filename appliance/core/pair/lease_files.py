"""All .network files of a box, with more than one for an uplink whose address another device than the card has: one
for the card, one for the device with the lease, one for that of a PPPoE session. And one for a card that only carries
VLANs."""

from __future__ import annotations

from appliance.core.model import Config
from appliance.core.networkd import card_file, network_file, network_path, session_file, trunk_file
from appliance.core.pair.leases import leased, with_lease_devices
from appliance.core.pppoe import as_packets_meet_it
from appliance.core.vlans import vlans


def network_files(config: Config, box: str) -> dict[str, str]:
    """By path, what networkd reads on `box`."""
    met, moving = as_packets_meet_it(config).boxes[box], leased(config, box)
    cards = {each.device for each in met.interfaces.values()} | {
        each.device for each in config.boxes[box].interfaces.values()
    }
    trunks = {each.parent for each in vlans(one.device for one in config.boxes[box].interfaces.values())} - cards
    files = {network_path(f"{card}.vlans"): trunk_file(config, card) for card in trunks}
    for name, interface in met.interfaces.items():
        if interface.pppoe:
            files[network_path(name)] = card_file(config, config.boxes[box], name)
            files[network_path(f"{name}.pppoe")] = session_file(config, met, name)
            if name in moving:
                below = with_lease_devices(config).boxes[box]
                files[network_path(f"{name}.lease")] = card_file(config, below, name, moves=True)
        elif name in moving:
            files[network_path(name)] = card_file(config, config.boxes[box], name)
            files[network_path(f"{name}.lease")] = network_file(config, met, name, moves=True)
        else:
            files[network_path(name)] = network_file(config, met, name)
    return files
