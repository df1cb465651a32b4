"""Gathers the evidence for the doctor: what the supervisor says before and after, and in between a few questions, side
by side, to gateways, name servers, peers and disks, while all that passes is listened to.

Six seconds where everybody answers: WireGuard repeats a handshake after five (REKEY_TIMEOUT), so whoever calls in vain
is heard. Twelve where a peer keeps silent or somebody calls: the answer to data may take ten (KEEPALIVE_TIMEOUT).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from appliance.adapters import board, counters, echo, servers, systemd
from appliance.adapters.errors import Refused
from appliance.adapters.keys import Keys
from appliance.adapters.packet_ear import PacketEar
from appliance.core.doctor.evidence import (
    Disk,
    Evidence,
    NameServer,
    Partner,
    PeerSeen,
    TunnelSeen,
)
from appliance.core.doctor.power import FILES, read
from appliance.core.doctor.wire import Ear, Frame
from appliance.core.in_force import SESSION_SECONDS
from appliance.core.pair.names import PAIR_DEVICE
from appliance.core.peers import endpoint_parts, is_name
from appliance.core.proof import inside
from appliance.core.state import DesiredPeer
from appliance.shell.paths import Paths
from appliance.shell.questions import (
    clock_seen,
    conflict,
    elsewhere,
    hosts_seen,
    look_up,
    overlaps,
    own_addresses,
    path_sizes,
    uplink_seen,
    who_called,
)

__all__ = ["Refused", "disks", "gather", "supervisor_silent"]

UNIT = "appliance.service"
SHORT_SECONDS = 5.5
LONG_SECONDS = 12.0
AT_ONCE = 64
MOST_CALLED = 32
"""So many peers with an endpoint are called; the others are judged by what they say themselves."""
MOST_SOURCES = 2

Status = Callable[[], dict[str, Any]]


def supervisor_silent(paths: Paths) -> Evidence | None:
    """What can be said where the supervisor does not answer; None where there is none, as on a laptop."""
    try:
        found = systemd.state(UNIT)
    except Refused:
        return None
    if found.get("LoadState") != "loaded":
        return None
    state = found.get("ActiveState")
    said = f"{UNIT} is {state} (result: {found.get('Result')}), and its socket does not answer"
    files = board.texts(FILES)
    return Evidence(supervisor=said, hangs=state == "active", disks=disks(paths), power=read(files, files))


def supervisor_starts() -> bool:
    """Whether it is on its way, for the first time or again; a box with a slow disk takes a while."""
    try:
        return systemd.state(UNIT).get("ActiveState") == "activating"
    except Refused:
        return False


def disks(paths: Paths) -> tuple[Disk, ...]:
    """Those on which the box keeps what it needs."""
    found = []
    for folder in (paths.root / "data", paths.root / "run"):
        if room := counters.room(folder):
            found.append(Disk(str(folder), room.free, room.total, room.files))
    return tuple(found)


def gather(status: Status, paths: Paths, beside: tuple[tuple[str, str], ...] = ()) -> Evidence:
    """Asks everybody and listens. `status` asks the supervisor; `beside` are the other box's (device, address).
    Raises PermissionError, Refused, and what `status` raises."""
    before = status()
    ear = PacketEar()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return _Gathering(before, status, paths, ear, pool).evidence(beside)
    finally:
        ear.close()


class _Gathering:
    """One visit."""

    def __init__(
        self, before: dict[str, Any], status: Status, paths: Paths, packets: PacketEar, pool: ThreadPoolExecutor
    ) -> None:
        self.before, self.status, self.paths, self.packets, self.pool = before, status, paths, packets, pool
        self.started = time.monotonic()
        self.board = board.texts(FILES)
        self.came = {tunnel["device"]: counters.came(tunnel["device"]) for tunnel in self.before["tunnels"]}
        links = self.before["interfaces"] + self.before["tunnels"]
        own = {address.partition("/")[0] for link in links for address in link["addresses"]}
        self.ear = Ear(frozenset(own))
        self.echoes: dict[tuple[str, str], Future[echo.Echo]] = {}
        self.echoes_from: dict[tuple[str, str], list[tuple[str, Future[echo.Echo]]]] = {}
        """Pings through the tunnels, by tunnel and key: from the tunnel's address, and from those inside."""

    def evidence(self, beside: tuple[tuple[str, str], ...]) -> Evidence:
        before = self.before
        if not before["box"]:
            # Before the first configuration there is nobody to ask.
            files = board.texts(FILES)
            power = read(self.board, files)
            return Evidence(refused=tuple(before["warnings"]), disks=disks(self.paths), power=power)
        silent = bool(before.get("pair")) and before["role"] != "master"
        # Of the pair link the partner's own voice tells more.
        tunnels = [] if silent else [tunnel for tunnel in before["tunnels"] if tunnel["device"] != PAIR_DEVICE]
        peers = [(tunnel, peer) for tunnel in tunnels for peer in tunnel["peers"]]
        called = [one for one in peers if one[1]["endpoint_wanted"]][:MOST_CALLED]
        here = [one for one in peers if not one[1]["endpoint_wanted"] and _has_session(one[1])][:MOST_CALLED]
        hosts = {endpoint_parts(peer["endpoint_wanted"])[0] for _, peer in called}
        lookups = [self.pool.submit(look_up, name) for name in sorted(filter(is_name, hosts))]
        names = [(each, self.pool.submit(servers.answers_names, each)) for each in servers.name_servers()]
        uplinks = [self.pool.submit(uplink_seen, uplink, elsewhere(before, uplink)) for uplink in before["uplinks"]]
        times = self.pool.submit(clock_seen)
        others = [self.pool.submit(conflict, device, address) for device, address in beside]
        taken = [self.pool.submit(conflict, device, address) for device, address in own_addresses(before)]
        addresses = {endpoint_parts(peer["endpoint"])[0] for _, peer in called if peer["endpoint"]}
        pings = {address: self.pool.submit(echo.ping, address) for address in sorted(addresses)}
        for tunnel, peer in called + here:
            # Its own addresses first: a host behind it may be off.
            allowed = sorted(peer["allowed_ips"], key=lambda each: not each.endswith(("/32", "/128")))
            address = inside(DesiredPeer(peer["name"], peer["public_key"], tuple(allowed)))
            if address and peer["state"] != "absent":
                echoes = self.pool.submit(echo.ping, address, tunnel["device"])
                self.echoes[tunnel["name"], peer["public_key"]] = echoes
                self.echoes_from[tunnel["name"], peer["public_key"]] = [
                    (source, self.pool.submit(echo.ping, address, source)) for source in _inside(before)
                ]
        self._hear(self.started + SHORT_SECONDS)
        # Behind a dead uplink nobody can answer, however long one waits.
        alive = any(each.result().answering for each in uplinks)
        after = self._listen({(tunnel["name"], peer["public_key"]) for tunnel, peer in called if alive})
        answering = {address: future.result().answered for address, future in pings.items()}
        now = {(tunnel["name"], peer["public_key"]): peer for tunnel in after["tunnels"] for peer in tunnel["peers"]}
        seen = tuple(
            self._peer(tunnel["name"], peer, now.get((tunnel["name"], peer["public_key"]), peer), answering)
            for tunnel, peer in peers
        )
        overheard = self.ear.heard()
        networks = _networks(after)
        above = [link.get("session", link) for link in before["interfaces"]]
        mtus = {link["device"]: link["mtu"] or 0 for link in above}
        return Evidence(
            box=after["box"] or "",
            uplinks=tuple(each.result() for each in uplinks),
            name_servers=tuple(NameServer(address, future.result()) for address, future in names),
            lookups=tuple(each.result() for each in lookups),
            clock=times.result(),
            tunnels=tuple(self._tunnel(each, seen) for each in after["tunnels"] if each["device"] != PAIR_DEVICE),
            peers=seen,
            callers=tuple(who_called(overheard, after["tunnels"], Keys(self.paths.state))),
            overheard=overheard,
            dropped=_counted("dropped_forward", before, after),
            dropped_here=_counted("dropped_input", before, after),
            spoofed=_counted("spoofed", before, after),
            disks=disks(self.paths),
            power=read(self.board, board.texts(FILES)),
            module="" if after["capabilities"]["kernel_wireguard"] else board.module("wireguard"),
            hosts=hosts_seen(overheard, {link["device"] for link in networks}, self.pool),
            overlaps=overlaps(seen, after, networks, self.pool),
            taken=tuple(found for each in taken if (found := each.result())),
            beside=tuple(found for each in others if (found := each.result())),
            paths=path_sizes([address for address, answered in answering.items() if answered], mtus, self.pool),
            partner=_partner(after),
            sentences=(*after["warnings"], *after["pending"], *(after.get("pair") or {}).get("notes", ())),
            inside=tuple(link["device"] for link in networks + after["tunnels"]),
        )

    def _listen(self, called: set[tuple[str, str]]) -> dict[str, Any]:
        """Until every peer that was called has answered or it is too late for an answer; the status then."""
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
        # Where it was called; the supervisor may follow its name meanwhile.
        endpoint = before["endpoint"] or after["endpoint"] or ""
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
            pings=pings.get(endpoint_parts(endpoint)[0]),
            echoes=self._echoed((tunnel, after["public_key"])),
            echoes_from=tuple(
                (source, future.result().answered)
                for source, future in self.echoes_from.get((tunnel, after["public_key"]), ())
            ),
            idle=before["state"] != "absent" and not _has_session(before),
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
            mtu=tunnel["mtu"] or 0,
        )


def _has_session(peer: dict[str, Any]) -> bool:
    """Also where nothing but keepalives goes over it."""
    age = peer["handshake_age_seconds"]
    return age is not None and age < SESSION_SECONDS


def _networks(status: dict[str, Any]) -> list[dict[str, Any]]:
    """The interfaces that are no uplinks."""
    uplinks = {uplink["name"] for uplink in status["uplinks"]}
    return [link for link in status["interfaces"] if link["name"] not in uplinks]


def _inside(status: dict[str, Any]) -> list[str]:
    """An IPv4 address of this box on each of the first networks inside."""
    found = [[each.partition("/")[0] for each in link["addresses"] if ":" not in each] for link in _networks(status)]
    return [addresses[0] for addresses in found if addresses][:MOST_SOURCES]


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


def _counted(counter: str, before: dict[str, Any], after: dict[str, Any]) -> int:
    """Packets that a counter of the firewall has counted meanwhile."""
    then, now = (int(status["firewall"]["counters"].get(counter, 0)) for status in (before, after))
    return now - then
