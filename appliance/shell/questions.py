"""The doctor's questions, each to one thing and bounded in time; status comes as the supervisor tells it."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import IPv4Interface
from typing import Any

from appliance.adapters import callers, clock, echo, resolver, servers, stamp
from appliance.adapters.keys import Keys
from appliance.adapters.rtnetlink import RtNetlink
from appliance.core.doctor.evidence import (
    NO_ANSWER,
    NO_SUCH_NAME,
    Caller,
    Clock,
    Lookup,
    Overlap,
    PathSize,
    PeerSeen,
    SessionSeen,
    Taken,
    UplinkSeen,
)
from appliance.core.doctor.wire import Overheard
from appliance.shell.proof import send

LOOKUP_SECONDS = 5.0
GATEWAY_SECONDS = 1.5
MOST_PATHS = 4
MOST_HOSTS = 4
SIZES = (1500, 1492, 1472, 1452, 1420, 1400, 1360, 1280)
"""Ethernet, PPPoE, and what tunnels and mobile networks leave of them; 1280 every IPv6 link carries (RFC 8200)."""


def uplink_seen(uplink: dict[str, Any], away: bool) -> UplinkSeen:
    """Its gateways are asked by ARP or ND."""
    device, gateways = uplink["device"], uplink["gateways"]
    netlink = RtNetlink()
    try:
        for gateway in gateways if uplink["carrier"] else ():
            if not netlink.ask_neighbour(device, gateway):
                send(gateway, device)
        end = time.monotonic() + GATEWAY_SECONDS
        answering: list[str] = []
        while gateways and uplink["carrier"] and not answering and time.monotonic() < end:
            time.sleep(0.1)
            answering = [gateway for gateway in gateways if netlink.neighbour_answers(device, gateway)]
    finally:
        netlink.close()
    return UplinkSeen(
        name=uplink["name"],
        device=device,
        present=uplink["present"],
        carrier=uplink["carrier"],
        addresses=tuple(uplink["addresses"]),
        gateways=tuple(gateways),
        # A session that stands was answered by its other end: pppd asks it by itself.
        answering=tuple(uplink["addresses"] if "session" in uplink else answering),
        elsewhere=away,
        mtu=uplink["mtu"] or 0,
        session=_session(uplink),
    )


def _session(uplink: dict[str, Any]) -> SessionSeen | None:
    found = uplink.get("session")
    return SessionSeen(uplink["card"], found["dials"], found["ended"]) if found else None


def elsewhere(status: dict[str, Any], uplink: dict[str, Any]) -> bool:
    """Whether the uplink's only address (leased, of a session, or virtual) is the other box's now."""
    links = [link for link in status["interfaces"] if link["name"] == uplink["name"]]
    if any("lease" in link and not link["lease"]["here"] for link in links):
        return True
    if any("session" in link and link["session"]["elsewhere"] for link in links):
        return True
    own = [address for address in uplink["addresses"] if not address.startswith("fe80:")]
    return bool(status.get("pair")) and status["role"] != "master" and not own and not status["pending"]


def look_up(name: str) -> Lookup:
    """What a name server says now, and whether one says anything."""
    found = asyncio.run(resolver.look_up(name, fresh=True, seconds=LOOKUP_SECONDS))
    trouble = "" if found.addresses else NO_SUCH_NAME if found.answered else NO_ANSWER
    return Lookup(name, found.addresses, trouble)


def clock_seen() -> Clock:
    """Beside the first of chrony's time servers that answers."""
    kept = clock.synchronised()
    for name in servers.time_servers():
        found = asyncio.run(resolver.look_up(name, fresh=True, seconds=LOOKUP_SECONDS))
        for address in found.addresses[:2]:
            if (offset := servers.ahead_of(address)) is not None:
                return Clock(kept, f"{name} ({address})", offset)
    return Clock(kept)


def own_addresses(status: dict[str, Any]) -> list[tuple[str, str]]:
    """(device, address) of this box's IPv4 addresses on networks that others are on."""
    return [
        (link.get("lease", link)["device"], address.partition("/")[0])
        for link in status["interfaces"]
        for address in link["addresses"]
        if ":" not in address and link["carrier"] and not address.endswith("/32")
    ]


def conflict(device: str, address: str) -> Taken | None:
    """Whether somebody else on the network answers for an address of this box."""
    mac = echo.who_else_has(address, device)
    return Taken(device, address, mac) if mac else None


def hosts_seen(overheard: Overheard, devices: set[str], pool: ThreadPoolExecutor) -> tuple[tuple[str, bool], ...]:
    """Those on these devices that let calls from elsewhere go unanswered: whether they answer this box."""
    found = {flow.destination: flow.device for flow in overheard.unanswered if flow.device in devices}
    asked = [(host, pool.submit(echo.ping, host, found[host])) for host in list(found)[:MOST_HOSTS]]
    return tuple((host, future.result().answered) for host, future in asked)


def overlaps(
    peers: Iterable[PeerSeen], status: dict[str, Any], networks: list[dict[str, Any]], pool: ThreadPoolExecutor
) -> tuple[Overlap, ...]:
    """Colleagues' devices that answer the tunnel's address and not one inside are asked where they stand."""
    inside = [IPv4Interface(each) for link in networks for each in link["addresses"] if ":" not in each]
    tunnels = {tunnel["name"]: tunnel for tunnel in status["tunnels"]}
    asked = []
    for peer in peers:
        refused = {source for source, answered in peer.echoes_from if not answered}
        own = [each for each in tunnels[peer.tunnel]["addresses"] if ":" not in each]
        hosts = [each.removesuffix("/32") for each in peer.allowed_ips if each.endswith("/32") and ":" not in each]
        if not peer.endpoint_wanted and peer.echoes and own and hosts:
            for network in (each.network for each in inside if str(each.ip) in refused):
                whence, device = own[0].partition("/")[0], tunnels[peer.tunnel]["device"]
                far = (hosts[0], str(network.broadcast_address), whence, device)
                asked.append((Overlap(peer.name, str(network)), pool.submit(stamp.stands_in, *far)))
    return tuple(overlap for overlap, future in asked if future.result())


def path_sizes(addresses: list[str], mtus: dict[str, int], pool: ThreadPoolExecutor) -> tuple[PathSize, ...]:
    """How much the ways to these hosts carry, all sizes at once. `mtus` by device."""
    netlink = RtNetlink()
    try:
        ways = [(address, netlink.way_to(address)) for address in addresses[:MOST_PATHS]]
    finally:
        netlink.close()
    asked: list[tuple[str, str, list[tuple[int, Future[echo.Echo]]]]] = []
    for address, device in ways:
        sizes = [size for size in SIZES if size <= mtus.get(device, 0)]
        futures = [(size, pool.submit(echo.ping, address, "", size)) for size in sizes]
        asked.append((address, device, futures))
    found = []
    for address, device, futures in asked:
        results = [(size, future.result()) for size, future in futures]
        whole = max((size for size, result in results if result.answered), default=0)
        told = any(result.told for _, result in results)
        larger = min((size for size, _ in results if size > whole), default=0)
        # A line that loses now and then is no black hole: what was lost is asked once more.
        if whole and not told and larger and echo.ping(address, size=larger).answered:
            continue
        if whole:
            found.append(PathSize(address, device, whole, results[0][0], told))
    return tuple(found)


def who_called(overheard: Overheard, tunnels: list[dict[str, Any]], keys: Keys) -> Iterator[Caller]:
    """Who called, where a tunnel's private key opens the call."""
    known = keys.public_keys()
    for call in overheard.handshakes:
        for tunnel in tunnels if call.initiation and not call.out else ():
            name = next((each for each, public in known.items() if public == tunnel["public_key"]), "")
            if call.here.endswith(f":{tunnel['listen_port']}") and name:
                found = callers.opened(call.mac1_over, keys.private_key(name))
                if found:
                    key = b64encode(found.public_key).decode()
                    yield Caller(call.there, tunnel["name"], key, found.clock - time.time())
