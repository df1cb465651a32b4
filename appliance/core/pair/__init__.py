"""What two boxes need to stand in for each other, as text and values: keepalived, conntrackd, routing rules."""

from appliance.core.pair.addresses import (
    PAIR_DEVICE,
    PAIR_PORT,
    PROTOCOL_PORT,
    STATE_PORT,
    pair_addresses,
    pair_endpoints,
    partner_of,
)
from appliance.core.pair.conntrackd import CONNTRACKD_CONTROL, CONNTRACKD_FILE, conntrackd_conf
from appliance.core.pair.files import pair_files
from appliance.core.pair.instances import hearing_devices, role_line
from appliance.core.pair.keepalived import KEEPALIVED_FILE, NOTIFY_FIFO, READY_FILE, keepalived_conf
from appliance.core.pair.readiness import NEVER, NOT_READY, READY, READY_TO_STAND_IN
from appliance.core.pair.routing import VIRTUAL_TABLE, pair_rules

__all__ = [
    "CONNTRACKD_CONTROL",
    "CONNTRACKD_FILE",
    "KEEPALIVED_FILE",
    "NEVER",
    "NOTIFY_FIFO",
    "NOT_READY",
    "PAIR_DEVICE",
    "PAIR_PORT",
    "PROTOCOL_PORT",
    "READY",
    "READY_FILE",
    "READY_TO_STAND_IN",
    "STATE_PORT",
    "VIRTUAL_TABLE",
    "conntrackd_conf",
    "hearing_devices",
    "keepalived_conf",
    "pair_addresses",
    "pair_endpoints",
    "pair_files",
    "pair_rules",
    "partner_of",
    "role_line",
]
