"""Hears who else on a network sends VRRP with a router ID: a packet socket (packet(7)) that the kernel filters.

keepalived does not say so: it talks to its partner alone, and the firewall drops what a stranger multicasts. So the
socket stands before the firewall, and lets through only what is news: no advert of the two boxes wakes anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Callable, Iterable
from ipaddress import ip_address

ETH_P_ALL = 0x0003
SO_ATTACH_FILTER = 26
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_MR_MULTICAST = 0
GROUPS = ("01005e000012", "333300000012")
"""The Ethernet addresses of 224.0.0.18 and ff02::12 (RFC 9568 section 5.1.1)."""
VRRP = 112

# Classic BPF (bpf_common.h): load byte and word at an offset, "and", "jump if equal", return.
_LDB, _LDW, _AND, _JEQ, _RET = 0x30, 0x20, 0x54, 0x15, 0x06
# Of the IP header: version nibble, offsets of the protocol, of the router ID behind it, and of the source's last word.
_LAYOUTS = ((0x40, 9, 21, 12), (0x60, 6, 41, 20))

Instruction = tuple[int, int, int, int]


def _program(router_id: int, known: Iterable[str]) -> list[Instruction]:
    """Accepts VRRP with this router ID from anybody but `known`. Offsets are those of headers without options."""
    program: list[Instruction] = []
    addresses = [ip_address(each) for each in known]
    for version, protocol, identifier, source in _LAYOUTS:
        mine = [each.packed[-4:] for each in addresses if each.version << 4 == version]
        behind = 10 + len(mine)
        drop = behind - 1

        program += [(_LDB, 0, 0, 0), (_AND, 0, 0, 0xF0), (_JEQ, 0, behind - 3, version)]
        program += [(_LDB, 0, 0, protocol), (_JEQ, 0, drop - 5, VRRP)]
        program += [(_LDB, 0, 0, identifier), (_JEQ, 0, drop - 7, router_id), (_LDW, 0, 0, source)]
        program += [(_JEQ, drop - 9 - place, 0, int.from_bytes(word)) for place, word in enumerate(mine)]
        program += [(_RET, 0, 0, 0xFFFF), (_RET, 0, 0, 0)]
    return [*program, (_RET, 0, 0, 0)]


class VrrpEar:
    """Calls `heard` with the device, the source and the router ID of each advert of a stranger."""

    def __init__(
        self, device: str, router_id: int, known: Iterable[str], heard: Callable[[str, str, int], None]
    ) -> None:
        """Raises OSError where the device is not there."""
        self.device, self.router_id, self.heard = device, router_id, heard
        index = socket.if_nametoindex(device)
        program = b"".join(struct.pack("HBBI", *each) for each in _program(router_id, known))
        code = ctypes.create_string_buffer(program)
        # struct sock_fprog: the number of instructions, and where they are.
        filter_ = struct.pack("HL", len(program) // 8, ctypes.addressof(code))
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)
        for group in GROUPS:
            member = struct.pack("iHH8s", index, PACKET_MR_MULTICAST, 6, bytes.fromhex(group))
            self.socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
        self.socket.bind((device, ETH_P_ALL))
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    packet = self.socket.recv(128)
                except BlockingIOError:
                    raise
                except OSError:
                    return  # the device is down
                family, source = (socket.AF_INET, packet[12:16])
                if packet[0] >> 4 == 6:
                    family, source = (socket.AF_INET6, packet[8:24])
                self.heard(self.device, socket.inet_ntop(family, source), self.router_id)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()
