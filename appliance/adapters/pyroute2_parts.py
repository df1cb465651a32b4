"""The parts of pyroute2 that are used here, without its package's __init__.

`import pyroute2` loads every part of it: a database, a command line, Windows and BSD support; 16 MB and 60 ms that the
supervisor would carry for the life of the box. The parts import each other by full name, so an empty package in
sys.modules is all that they need.
"""

from __future__ import annotations

import importlib.util
import sys

if "pyroute2" not in sys.modules:
    _specification = importlib.util.find_spec("pyroute2")
    if _specification is None:
        raise ImportError("pyroute2 is not installed; it is Debian's package python3-pyroute2")
    sys.modules["pyroute2"] = importlib.util.module_from_spec(_specification)

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket
from pyroute2.netlink.generic.wireguard import wgmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

if all(name != "IFA_PROTO" for name, *_ in ifaddrmsg.nla_map):
    # 0.7.7 ends before what stands in include/uapi/linux/if_addr.h since Linux 5.18.
    ifaddrmsg.nla_map = (
        *ifaddrmsg.nla_map[:9],
        ("IFA_RT_PRIORITY", "uint32"),
        ("IFA_TARGET_NETNSID", "int32"),
        ("IFA_PROTO", "uint8"),
    )

__all__ = [
    "NLM_F_ACK",
    "NLM_F_DUMP",
    "NLM_F_REQUEST",
    "GenericNetlinkSocket",
    "IPRoute",
    "NetlinkError",
    "wgmsg",
]
