"""Gathers the evidence for the doctor: what the supervisor says before and after, and in between a few questions, side
by side, to gateways, name servers, peers and disks, while all that passes is listened to.

Six seconds where everybody answers: WireGuard repeats a handshake after five (REKEY_TIMEOUT), so whoever calls in vain
is heard. Twelve where a peer keeps silent or somebody calls: the answer to data may take ten (KEEPALIVE_TIMEOUT).
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from appliance.adapters import callers, clock, counters, echo, resolver, servers, systemd
from appliance.adapters.errors import Refused
from appliance.adapters.keys import Keys
from appliance.adapters.packet_ear import PacketEar
from appliance.adapters.rtnetlink import RtNetlink
from appliance.core.doctor.evidence import (
    NO_ANSWER,
    NO_SUCH_NAME,
    Caller,
    Clock,
    Disk,
    Evidence,
    Lookup,
    NameServer,
    Partner,
    PathSize,
    PeerSeen,
    Taken,
    TunnelSeen,
    UplinkSeen,
)
from appliance.core.doctor.wire import Ear, Frame, Overheard
from appliance.core.peers import is_name
from appliance.core.proof import inside
from appliance.core.state import DesiredPeer
from appliance.shell.paths import Paths
from appliance.shell.proof import send

UNIT = "appliance.service"
SHORT_SECONDS = 5.5
LONG_SECONDS = 12.0
LOOKUP_SECONDS = 5.0
GATEWAY_SECONDS = 1.5
AT_ONCE = 32
MOST_CALLED = 32
"""So many peers with an endpoint are called; the others are judged by what they say themselves."""
MOST_PATHS = 4
SIZES = (1500, 1492, 1472, 1452, 1420, 1400, 1360, 1280)
"""Ethernet, PPPoE, and what tunnels and mobile networks leave of them; 1280 every IPv6 link carries (RFC 8200)."""

Status = Callable[[], dict[str, Any]]


def supervisor_state() -> str | None:
    """What systemd says of a supervisor that does not answer; None where there is none, as on a laptop."""
    try:
        found = systemd.state(UNIT)
    except Refused:
        return None
    if found.get("LoadState") != "loaded":
        return None
    return f"{UNIT} is {found.get('ActiveState')} (result: {found.get('Result')}), and its socket does not answer"


def disks(paths: Paths) -> tuple[Disk, ...]:
    """Those on which the box keeps what it needs."""
    found = []
    for folder in (paths.root / "data", paths.root / "run"):
        if room := counters.room(folder):
            found.append(Disk(str(folder), room.free, room.total, room.files))
    return tuple(found)


def gather(status: Status, paths: Paths) -> Evidence:
    """Asks everybody and listens. `status` asks the supervisor. Raises PermissionError, Refused."""
    ear = PacketEar()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return _Gathering(status, paths, ear, pool).evidence()
    finally:
        ear.close()


class _Gathering:
    """One visit."""

    def __init__(self, status: Status, paths: Paths, packets: PacketEar, pool: ThreadPoolExecutor) -> None:
        self.status, self.paths, self.packets, self.pool = status, paths, packets, pool
        self.before = status()
        self.started = time.monotonic()
        self.came = {tunnel["device"]: counters.came(tunnel["device"]) for tunnel in self.before["tunnels"]}
        links = self.before["interfaces"] + self.before["tunnels"]
        own = {address.partition("/")[0] for link in links for address in link["addresses"]}
        self.ear = Ear(frozenset(own))
        self.echoes: dict[tuple[str, str], Future[echo.Echo]] = {}
        """Pings through the tunnels, by tunnel and key."""

    def evidence(self) -> Evidence:
        before = self.before
        silent = bool(before.get("pair")) and before["role"] != "master"
        peers = [] if silent else [(tunnel, peer) for tunnel in before["tunnels"] for peer in tunnel["peers"]]
        called = [one for one in peers if one[1]["endpoint_wanted"]][:MOST_CALLED]
        hosts = {_host(peer["endpoint_wanted"]) for _, peer in called}
        lookups = [self.pool.submit(_look_up, name) for name in sorted(filter(is_name, hosts))]
        names = [(each, self.pool.submit(servers.answers_names, each)) for each in servers.name_servers()]
        uplinks = [self.pool.submit(_uplink, uplink, _lease(before, uplink)) for uplink in before["uplinks"]]
        times = self.pool.submit(_clock)
        taken = [self.pool.submit(_taken, device, address) for device, address in _own(before)]
        addresses = {_host(peer["endpoint"]) for _, peer in called if peer["endpoint"]}
        pings = {address: self.pool.submit(echo.ping, address) for address in sorted(addresses)}
        for tunnel, peer in called:
            address = inside(DesiredPeer(peer["name"], peer["public_key"], tuple(peer["allowed_ips"])))
            if address and peer["state"] != "absent":
                echoes = self.pool.submit(echo.ping, address, tunnel["device"])
                self.echoes[tunnel["name"], peer["public_key"]] = echoes
        after = self._listen({(tunnel["name"], peer["public_key"]) for tunnel, peer in called})
        answering = {address: future.result().answered for address, future in pings.items()}
        now = {(tunnel["name"], peer["public_key"]): peer for tunnel in after["tunnels"] for peer in tunnel["peers"]}
        seen = tuple(
            self._peer(tunnel["name"], peer, now.get((tunnel["name"], peer["public_key"]), peer), answering)
            for tunnel, peer in peers
        )
        overheard = self.ear.heard()
        return Evidence(
            box=after["box"] or "",
            refused=tuple(after["warnings"]) if not after["box"] else (),
            uplinks=tuple(each.result() for each in uplinks),
            name_servers=tuple(NameServer(address, future.result()) for address, future in names),
            lookups=tuple(each.result() for each in lookups),
            clock=times.result(),
            tunnels=tuple(self._tunnel(tunnel, seen) for tunnel in after["tunnels"]),
            peers=seen,
            callers=tuple(_callers(overheard, after["tunnels"], Keys(self.paths.state))),
            overheard=overheard,
            dropped=_drops(after) - _drops(before),
            disks=disks(self.paths),
            taken=tuple(found for each in taken if (found := each.result())),
            paths=self._paths([address for address, answered in answering.items() if answered]),
            partner=_partner(after),
            sentences=(*after["warnings"], *after["pending"]),
            inside=tuple(
                link["device"]
                for link in after["interfaces"] + after["tunnels"]
                if link["name"] not in {uplink["name"] for uplink in after["uplinks"]}
            ),
        )

    def _listen(self, called: set[tuple[str, str]]) -> dict[str, Any]:
        """Until every peer that was called has answered or it is too late for an answer; the status then."""
        self._hear(self.started + SHORT_SECONDS)
        while True:
            after = self.status()
            # Whoever is answered and calls again all the same does so 5 s later.
            waiting = self.ear.called or self._silent(after, called)
            if not waiting or time.monotonic() > self.started + LONG_SECONDS:
                return after
            self._hear(time.monotonic() + 1)

    def _hear(self, until: float) -> None:
        self.ear.hear(Frame(*found) for found in self.packets.listen(until))
        # A line that is listened to no more ends early; the time is waited for all the same.
        time.sleep(max(0.0, until - time.monotonic()))

    def _silent(self, after: dict[str, Any], called: set[tuple[str, str]]) -> bool:
        before = _received(self.before)
        return any(
            (came - before.get(key, 0)) % 148 == 0
            for key, came in _received(after).items()
            if key in called and not self._echoed(key)
        )

    def _echoed(self, key: tuple[str, str]) -> bool | None:
        """Whether the peer answered its ping by now; None where it was not sent one."""
        echoes = self.echoes.get(key)
        return None if echoes is None else echoes.done() and echoes.result().answered

    def _peer(self, tunnel: str, before: dict[str, Any], after: dict[str, Any], pings: dict[str, bool]) -> PeerSeen:
        endpoint = after["endpoint"] or ""
        return PeerSeen(
            tunnel=tunnel,
            name=after["name"],
            public_key=after["public_key"],
            endpoint=endpoint,
            endpoint_wanted=after["endpoint_wanted"] or "",
            handshake_age=after["handshake_age_seconds"],
            keepalive=after["keepalive_seconds"],
            preshared_key=after["preshared_key"],
            allowed_ips=tuple(after["allowed_ips"]),
            called=bool(endpoint) and after["sent_bytes"] > before["sent_bytes"],
            received=max(0, after["received_bytes"] - before["received_bytes"]),
            pings=pings.get(_host(endpoint)),
            echoes=self._echoed((tunnel, after["public_key"])),
        )

    def _tunnel(self, tunnel: dict[str, Any], peers: tuple[PeerSeen, ...]) -> TunnelSeen:
        received = sum(peer.received for peer in peers if peer.tunnel == tunnel["name"])
        before, now = self.came.get(tunnel["device"]), counters.came(tunnel["device"])
        lost = 0
        if before and now:
            # 16 bytes of header, 16 of tag, up to 15 of padding around each packet (whitepaper section 5.4.6).
            lost = received - (now.octets - before.octets) - 47 * (now.packets - before.packets)
        return TunnelSeen(
            name=tunnel["name"],
            device=tunnel["device"],
            public_key=tunnel["public_key"] or "",
            listen_port=tunnel["listen_port"] or 0,
            engine=tunnel["engine"] or "",
            engine_wanted=tunnel["engine_wanted"],
            received=received,
            lost=max(0, lost),
        )

    def _paths(self, addresses: list[str]) -> tuple[PathSize, ...]:
        """How much the ways to these hosts carry."""
        netlink = RtNetlink()
        try:
            ways = [(address, netlink.way_to(address)) for address in addresses[:MOST_PATHS]]
        finally:
            netlink.close()
        mtus = {link["device"]: link["mtu"] or 0 for link in self.before["interfaces"]}
        asked: list[tuple[str, str, list[tuple[int, Future[echo.Echo]]]]] = []
        for address, device in ways:
            sizes = [size for size in SIZES if size <= mtus.get(device, 0)]
            futures = [(size, self.pool.submit(echo.ping, address, "", size)) for size in sizes]
            asked.append((address, device, futures))
        found = []
        for address, device, futures in asked:
            results = [(size, future.result()) for size, future in futures]
            whole = [size for size, result in results if result.answered]
            if whole:
                told = any(result.told for _, result in results)
                found.append(PathSize(address, device, max(whole), results[0][0], told))
        return tuple(found)


def _uplink(uplink: dict[str, Any], elsewhere: bool) -> UplinkSeen:
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
        answering=tuple(answering),
        elsewhere=elsewhere,
    )


def _lease(status: dict[str, Any], uplink: dict[str, Any]) -> bool:
    """Whether the uplink's lease is the other box's now."""
    links = [link for link in status["interfaces"] if link["name"] == uplink["name"]]
    return any("lease" in link and not link["lease"]["here"] for link in links)


def _look_up(name: str) -> Lookup:
    found = asyncio.run(resolver.look_up(name, fresh=True, seconds=LOOKUP_SECONDS))
    trouble = "" if found.addresses else NO_SUCH_NAME if found.answered else NO_ANSWER
    return Lookup(name, found.addresses, trouble)


def _clock() -> Clock:
    kept = clock.synchronised()
    for name in servers.time_servers():
        found = asyncio.run(resolver.look_up(name, seconds=LOOKUP_SECONDS))
        for address in found.addresses[:2]:
            if (offset := servers.ahead_of(address)) is not None:
                return Clock(kept, f"{name} ({address})", offset)
    return Clock(kept)


def _own(status: dict[str, Any]) -> list[tuple[str, str]]:
    """(device, address) of this box's IPv4 addresses on networks that others are on."""
    return [
        (link.get("lease", link)["device"], address.partition("/")[0])
        for link in status["interfaces"]
        for address in link["addresses"]
        if ":" not in address and link["carrier"] and not address.endswith("/32")
    ]


def _taken(device: str, address: str) -> Taken | None:
    mac = echo.who_else_has(address, device)
    return Taken(device, address, mac) if mac else None


def _callers(overheard: Overheard, tunnels: list[dict[str, Any]], keys: Keys) -> Iterator[Caller]:
    """Who called, where a tunnel's private key opens the call."""
    known = keys.public_keys()
    for call in overheard.handshakes:
        for tunnel in tunnels if call.initiation and not call.out else ():
            if call.here.endswith(f":{tunnel['listen_port']}") and tunnel["device"] in known:
                found = callers.opened(call.mac1_over, keys.private_key(tunnel["device"]))
                if found:
                    key = b64encode(found.public_key).decode()
                    yield Caller(call.there, tunnel["name"], key, found.clock - time.time())


def _partner(status: dict[str, Any]) -> Partner | None:
    pair = status.get("pair") or {}
    other = pair.get("partner")
    if not other:
        return None
    return Partner(
        role=pair["role"],
        partner=other["box"],
        partner_role=other["role"],
        alive=other["alive"],
        heard_ago=other["heard_ago"],
        in_step=other["in_step"],
        ahead=other["ahead"],
    )


def _received(status: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {
        (tunnel["name"], peer["public_key"]): peer["received_bytes"]
        for tunnel in status["tunnels"]
        for peer in tunnel["peers"]
    }


def _drops(status: dict[str, Any]) -> int:
    return int(status["firewall"]["counters"].get("dropped_forward", 0))


def _host(endpoint: str) -> str:
    return endpoint.rpartition(":")[0].strip("[]")
