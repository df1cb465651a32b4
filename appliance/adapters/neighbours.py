"""What a box says of itself to its IPv6 neighbours; for IPv4 arping(8) does it."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address
from pathlib import Path

from appliance.adapters.errors import Refused

_ADVERTISEMENT, _LINK_LAYER_ADDRESS = 136, 2
_ROUTER, _OVERRIDE = 1 << 31, 1 << 29
ALL_NODES = "ff02::1"


def advertise(device: str, address: str) -> None:
    """One unsolicited neighbour advertisement to all nodes of the link: whoever knew the address at another card takes
    this one (RFC 4861, sections 4.4 and 7.2.6). Raises Refused, also where the device does not have the address."""
    try:
        mac = bytes.fromhex(Path(f"/sys/class/net/{device}/address").read_text().strip().replace(":", ""))
        index = socket.if_nametoindex(device)
        # The kernel fills in the checksum (RFC 3542, section 3.1).
        packet = struct.pack(">BBHI", _ADVERTISEMENT, 0, 0, _ROUTER | _OVERRIDE) + IPv6Address(address).packed
        packet += bytes([_LINK_LAYER_ADDRESS, 1]) + mac
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as line:
            line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            line.bind((address, 0, 0, 0))
            line.sendto(packet, (ALL_NODES, 0, 0, index))
    except (OSError, ValueError) as error:
        raise Refused(f"{address} could not be announced on {device}: {error}") from None
