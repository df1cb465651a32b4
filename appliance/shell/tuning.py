"""Cards and processor: what core.tuning asks of what adapters.hardware finds, and its being set."""

from __future__ import annotations

import logging
from pathlib import Path

from appliance.adapters.errors import Refused
from appliance.adapters.hardware import Hardware
from appliance.core.tuning import Setting, settings

log = logging.getLogger("appliance.tuning")


def look(root: Path) -> tuple[Setting, ...]:
    """What this machine's hardware is set to and should be, read at this moment."""
    hardware = Hardware(root)
    return settings(tuple(hardware.card(device) for device in hardware.cards()), hardware.processor())


def tune(root: Path) -> None:
    """Sets what differs. What is refused is said once, and the box works without it."""
    hardware = Hardware(root)
    for setting in look(root):
        if not setting.stands:
            try:
                hardware.set(setting)
                log.info("%s (was %s): %s", setting, setting.now, setting.why)
            except Refused as error:
                log.warning("not tuned: %s", error)
