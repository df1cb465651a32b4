"""All files of a pair by their paths."""

from __future__ import annotations

from appliance.core.model import Config
from appliance.core.pair.addresses import partner_of
from appliance.core.pair.conntrackd import conntrackd_conf
from appliance.core.pair.keepalived import keepalived_conf
from appliance.core.pair.names import CONNTRACKD_FILE, KEEPALIVED_FILE


def pair_files(config: Config, box: str) -> dict[str, str]:
    """What keepalived and conntrackd read on `box`; nothing for a box that stands alone."""
    if partner_of(config, box) is None:
        return {}
    return {KEEPALIVED_FILE: keepalived_conf(config, box), CONNTRACKD_FILE: conntrackd_conf(config, box)}
