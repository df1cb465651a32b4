"""Uplinks by PPPoE: a session of pppd(8) over the card, and ppp-NAME, the device that has its address.

The card itself carries nothing but the session's frames (EtherType 0x8863 and 0x8864, RFC 2516): no IP, no name of its
own in a rule. Whatever speaks of the uplink means the session's device.
"""

from __future__ import annotations

import hashlib

from appliance.core.model import Config, Interface, Pppoe
from appliance.core.networkd import uplink_metric
from appliance.core.pair.leases import lease_device, leased, with_lease_devices
from appliance.core.pppoe_words import quoted
from appliance.core.state import SESSION_DEVICE, SESSION_FOLDER, PppSession

OVERHEAD = 8
"""Bytes of a frame that PPPoE and PPP take for themselves (RFC 2516 section 7)."""
ETHERNET_MTU = 1500
_LONGEST_DEVICE = 15
_UP = "/usr/lib/appliance/pppoe-up"
_NOTHING = "/usr/bin/true"


def sessions(config: Config, box: str) -> tuple[PppSession, ...]:
    """The PPPoE uplinks of a box."""
    interfaces = config.boxes[box].interfaces
    return tuple(
        PppSession(
            name=name,
            device=session_device(name),
            parent=lease_device(name) if name in leased(config, box) else each.device,
            password=each.pppoe.password.secret,
            mtu=_mtu(each),
            options=options_path(name),
        )
        for name, each in interfaces.items()
        if each.pppoe
    )


def session_device(interface: str) -> str:
    """The device of the PPPoE uplink `interface`; a name that is too long for the kernel becomes a digest."""
    device = f"{SESSION_DEVICE}{interface}"
    if len(device) <= _LONGEST_DEVICE:
        return device
    return SESSION_DEVICE + hashlib.sha256(interface.encode()).hexdigest()[: _LONGEST_DEVICE - len(SESSION_DEVICE)]


def options_path(interface: str) -> str:
    """The file that pppd reads for this uplink; its password stands in another one."""
    return f"{SESSION_FOLDER}/{session_device(interface)}.options"


def as_packets_meet_it(config: Config) -> Config:
    """The configuration with each uplink's device replaced by the one that has its address: a lease's, a session's."""
    config = with_lease_devices(config)
    boxes = {}
    for name, box in config.boxes.items():
        above = {
            each: interface.model_copy(update={"device": session_device(each)})
            for each, interface in box.interfaces.items()
            if interface.pppoe
        }
        boxes[name] = box.model_copy(update={"interfaces": {**box.interfaces, **above}})
    return config.model_copy(update={"boxes": boxes})


def options_files(config: Config, box: str) -> dict[str, str]:
    """By path, pppd's options for each session."""
    interfaces = config.boxes[box].interfaces
    found = {}
    for session in sessions(config, box):
        pppoe = interfaces[session.name].pppoe
        assert pppoe is not None
        metric = uplink_metric(config.boxes[box], session.name)
        found[session.options] = _options(session, pppoe, metric, "ra" in interfaces[session.name].address)
    return found


def _options(session: PppSession, pppoe: Pppoe, metric: int, ipv6: bool) -> str:
    """One attempt a process: systemd starts the next one, and remembers how this one ended (pppd(8), EXIT STATUS)."""
    lines = [
        "# Written by appliance from appliance.yaml; changes here are undone.",
        "plugin pppoe.so",
        f"nic-{session.parent}",
        f"ifname {session.device}",
        f"ipparam {session.name}",
        f"user {quoted(pppoe.user)}",
        f"file {session.options.removesuffix('.options')}.password",
        "noauth",
        "hide-password",
        # A provider that does not answer is asked again after 1, 2, 4 and 8 s; then the process ends.
        "pppoe-padi-timeout 1",
        "pppoe-padi-attempts 4",
        "nopersist",
        # 20 s of silence end the session: the line is dead, or the provider has forgotten it.
        "lcp-echo-interval 5",
        "lcp-echo-failure 4",
        "lcp-echo-adaptive",
        # More than 1492 is asked for as RFC 4638 says, and not used unless the provider agrees.
        f"mtu {session.mtu}",
        f"mru {session.mtu}",
        "noipdefault",
        "ipcp-accept-local",
        "ipcp-accept-remote",
        "defaultroute",
        f"defaultroute-metric {metric}",
        "usepeerdns",
        "+ipv6" if ipv6 else "noipv6",
        # Compression takes a processor's time and saves nothing on what is encrypted.
        "noaccomp",
        "nopcomp",
        "novj",
        "noccp",
        # Debian's own scripts write to /etc.
        f"ip-pre-up-script {_NOTHING}",
        f"ip-up-script {_UP}",
        f"ip-down-script {_NOTHING}",
        f"ipv6-up-script {_NOTHING}",
        f"ipv6-down-script {_NOTHING}",
    ]
    return "\n".join(lines) + "\n"


def _mtu(interface: Interface) -> int:
    return (interface.mtu or ETHERNET_MTU) - OVERHEAD
