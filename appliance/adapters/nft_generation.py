"""The number that the kernel gives each state of a network's nftables: any change, by anybody, is another number.

What packets put into maps changes nothing in it. NFT_MSG_GETGEN, include/uapi/linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct

from appliance.adapters import route_wire as wire

NETLINK_NETFILTER = 12
NFNL_SUBSYS_NFTABLES = 10
NFT_MSG_NEWGEN, NFT_MSG_GETGEN = 15, 16
NFTA_GEN_ID = 1
_NFGENMSG = struct.Struct("!BBH")
"""struct nfgenmsg: family, version, resource."""
SECONDS = 5.0


class Generation:
    """Asks for the number. The socket stays open: closing it waits until the kernel has cleared the last change away
    (net/netfilter/nf_tables_api.c, nft_rcv_nl_event), 15 ms after a table of a thousand peers."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self.socket.settimeout(SECONDS)
        self.socket.bind((0, 0))
        self.asked = 0

    def read(self) -> int | None:
        """The number of now; None where the kernel does not tell."""
        kind = NFNL_SUBSYS_NFTABLES << 8
        self.asked += 1
        question = wire.message(kind | NFT_MSG_GETGEN, wire.NLM_F_REQUEST, self.asked, _NFGENMSG.pack(0, 0, 0))
        try:
            self.socket.send(question)
            while True:
                data = self.socket.recv(1 << 16)
                for found, asked, start, end in wire.messages(data):
                    if asked == self.asked:
                        return _number(data, start, end) if found == kind | NFT_MSG_NEWGEN else None
        except OSError:
            return None


def _number(data: bytes, start: int, end: int) -> int | None:
    for name, value, _ in wire.attributes(data, start + _NFGENMSG.size, end):
        if name == NFTA_GEN_ID:
            return int(struct.unpack_from("!I", data, value)[0])
    return None
