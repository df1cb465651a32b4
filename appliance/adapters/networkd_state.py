"""What networkd knows of its links and was lent by DHCP, from the files in which it keeps that while it runs.

They are its own (src/network/networkd-state-file.c, src/libsystemd-network/sd-dhcp-lease.c), and for a lease's gateway
that is not in the kernel nothing else tells. cloud-init reads them, too (cloudinit/net/dhcp.py).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

FOLDER = Path("/run/systemd/netif")


def lent_gateways(devices: Iterable[str], folder: Path = FOLDER) -> dict[str, str]:
    """By device, the first router that came with its lease. None of one that came with routes instead, which count
    alone then (RFC 3442), nor where there is no lease, no such device, or a file that says something else."""
    found = {}
    for device in devices:
        entries: dict[str, str] = {}
        with contextlib.suppress(OSError):
            entries = _entries(folder / "leases" / str(socket.if_nametoindex(device)))
        if "ROUTES" not in entries and (routers := entries.get("ROUTER", "").split()):
            with contextlib.suppress(AddressValueError):
                found[device] = str(IPv4Address(routers[0]))
    return found


def given_up(folder: Path = FOLDER) -> frozenset[str]:
    """The devices that networkd has failed to set up, and leaves at that: their DHCP clients are stopped."""
    found = set()
    for file in folder.glob("links/*"):
        with contextlib.suppress(OSError, ValueError):
            if _entries(file).get("ADMIN_STATE") == "failed":
                found.add(socket.if_indextoname(int(file.name)))
    return frozenset(found)


def _entries(file: Path) -> dict[str, str]:
    """KEY=VALUE by line; nothing of a file that is not there."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    return {}
