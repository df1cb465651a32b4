"""Who else sends VRRP: adverts in both IP versions, of which only a stranger's with the pair's router ID is heard."""

from __future__ import annotations

import asyncio
import socket
import struct
from ipaddress import ip_address

from appliance.adapters.vrrp_ear import VrrpEar
from tests.labs.own_network import in_own_network

PARTNER, PARTNER6 = "203.0.113.3", "fd00::3"
STRANGER, STRANGER6 = "203.0.113.77", "fd00::77"


def advert(source: str, router_id: int, protocol: int = 112) -> bytes:
    """An Ethernet frame to the VRRP group; nobody checks its checksums here."""
    vrrp = struct.pack("!BBBBHH", 0x31, router_id, 100, 0, 100, 0)
    packed = ip_address(source).packed
    if len(packed) == 4:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 255, protocol, 0) + packed + bytes([224, 0, 0, 18])
        return bytes.fromhex("01005e000012020000000077") + b"\x08\x00" + header + vrrp
    header = struct.pack("!IHBB", 6 << 28, 8, protocol, 255) + packed + ip_address("ff02::12").packed
    return bytes.fromhex("333300000012020000000077") + b"\x86\xdd" + header + vrrp


@in_own_network
def test_only_a_stranger_with_the_same_router_id_is_heard() -> None:
    heard: list[tuple[str, str, int]] = []

    async def listen() -> None:
        ear = VrrpEar("enp1s0", 51, (PARTNER, PARTNER6, "203.0.113.2"), lambda *each: heard.append(each))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind(("far", 0))
            for source in (PARTNER, PARTNER6, STRANGER, STRANGER6):
                for router_id, protocol in ((50, 112), (51, 17), (51, 112)):
                    sender.send(advert(source, router_id, protocol))
        async with asyncio.timeout(5):
            while len(heard) < 2:
                await asyncio.sleep(0.01)
        ear.close()

    asyncio.run(listen())
    assert heard == [("enp1s0", STRANGER, 51), ("enp1s0", STRANGER6, 51)]
