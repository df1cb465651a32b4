"""All .network files of a box, with two for each leased uplink: one for the card, one for the device with the lease."""

from __future__ import annotations

from appliance.core.model import Config
from appliance.core.networkd import card_file, network_file, network_path
from appliance.core.pair.leases import leased, with_lease_devices


def network_files(config: Config, box: str) -> dict[str, str]:
    """By path, what networkd reads on `box`."""
    met, moving = with_lease_devices(config).boxes[box], leased(config, box)
    files = {}
    for name in met.interfaces:
        if name in moving:
            files[network_path(name)] = card_file(config, config.boxes[box], name)
            files[network_path(f"{name}.lease")] = network_file(config, met, name, moves=True)
        else:
            files[network_path(name)] = network_file(config, met, name)
    return files
