"""Endpoint names: looked up off every other path, kept on disk, and followed when a peer falls silent."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable

from appliance.adapters import resolver
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.core.in_force import behind, moved
from appliance.core.peers import endpoint_parts, endpoint_text, is_name
from appliance.core.silence import Silence
from appliance.core.state import DEFAULTS, OLD, Desired, DesiredPeer, ObservedDevice
from appliance.shell.paths import Paths

log = logging.getLogger("appliance.endpoints")

Lookup = Callable[[str, bool], Awaitable[tuple[str, ...]]]
AT_ONCE = 16


class Endpoints:
    """What the names of a configuration say. `changed` is called after a lookup that brought something new."""

    def __init__(
        self, paths: Paths, changed: Callable[[dict[str, str]], None], lookup: Lookup = resolver.resolve
    ) -> None:
        self.paths = paths
        self.changed = changed
        self.lookup = lookup
        self.resolved: dict[str, tuple[str, ...]] = self._load()
        self.named: dict[str, DesiredPeer] = {}
        self.desired: Desired | None = None
        self.devices: dict[str, str] = {}
        """The interface of each tunnel, by the tunnel's name."""
        self.fresh: set[str] = set()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.slots = asyncio.Semaphore(AT_ONCE)
        self.silence = Silence()
        self.silent: set[str] = set()

    def _load(self) -> dict[str, tuple[str, ...]]:
        try:
            stored = json.loads(self.paths.endpoints.read_text())
            return {str(name): tuple(map(str, addresses)) for name, addresses in stored.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def follow(self, desired: Desired) -> None:
        """Takes over the names of a configuration and looks up those that were not looked up since the start."""
        self.desired, self.devices = desired, {tunnel.name: tunnel.device for tunnel in desired.tunnels}
        peers = [peer for tunnel in desired.tunnels for peer in tunnel.peers if peer.endpoint]
        self.named = {peer.name: peer for peer in peers if is_name(endpoint_parts(peer.endpoint or "")[0])}
        for host in {self._host(peer) for peer in self.named.values()}:
            if host not in self.fresh:
                self.look_up(host)

    @property
    def outside(self) -> bool:
        """Whether the far end of a full tunnel is looked for: its name is not known, or it is silent where it was."""
        full = [peer for peer in self.named.values() if set(peer.allowed_ips) & set(DEFAULTS)]
        return any(self._host(peer) not in self.resolved or peer.name in self.silent for peer in full)

    def network_changed(self) -> None:
        """A name that had no answer may have one now that a cable, an address or a route came."""
        for host in {self._host(peer) for peer in self.named.values()} - self.fresh:
            self.look_up(host)

    @property
    def watching(self) -> bool:
        return bool(self.named)

    def tick(self, devices: dict[str, ObservedDevice]) -> None:
        """Looks at the byte counters of the peers with names; called on the watchdog's beat."""
        readings = []
        # Whoever knows one of the box's two keys does not answer to the other.
        uses = moved(self.desired, devices) if self.desired else {}
        for name, peer in self.named.items():
            tunnel = name.partition(".")[0]
            if uses.get(behind(name), not tunnel.endswith(OLD)) == tunnel.endswith(OLD):
                continue
            device = devices.get(self.devices[tunnel])
            state = device.peers.get(peer.public_key) if device else None
            if state:
                readings.append((name, state.received, state.sent, state.keepalive))
        silent = self.silence.update(readings, time.monotonic())
        before = self.outside
        self.silent = {name for name in self.silent.union(silent) if self.silence.unanswered(name)}
        if self.outside != before:
            self.changed({})
        for name in silent:
            peer = self.named[name]
            state = devices[self.devices[name.partition(".")[0]]].peers[peer.public_key]
            self.look_up(self._host(peer), peer, state.endpoint)
        self.network_changed()

    def due(self) -> float | None:
        """Seconds after which a peer that does not answer would be silent for long enough to look its name up again."""
        return self.silence.due(time.monotonic())

    def _host(self, peer: DesiredPeer) -> str:
        return endpoint_parts(peer.endpoint or "")[0]

    def look_up(self, host: str, silent: DesiredPeer | None = None, current: str | None = None) -> None:
        """Starts a lookup, unless one for this name is under way. `silent` is the peer that asks for it."""
        if host not in self.tasks:
            task = asyncio.create_task(self._look_up(host, silent, current))
            self.tasks[host] = task
            task.add_done_callback(lambda _: self.tasks.pop(host, None))

    async def _look_up(self, host: str, silent: DesiredPeer | None, current: str | None) -> None:
        async with self.slots:
            addresses = await self.lookup(host, silent is not None)
        if not addresses:
            log.info("no answer for %s; the last good one stays", host)
            return
        self.fresh.add(host)
        news = self.resolved.get(host) != addresses
        self.resolved[host] = addresses
        if news:
            self._store()
        moved = {}
        if silent and silent.endpoint:
            port = endpoint_parts(silent.endpoint)[1]
            candidates = [endpoint_text(address, port) for address in addresses]
            # Where the peer is silent although the name still says the same, its other address is tried.
            place = candidates.index(current) + 1 if current in candidates else 0
            wish = candidates[place % len(candidates)]
            if wish != current:
                moved[silent.name] = wish
                log.info("%s is silent at %s; calling it at %s", silent.name, current, wish)
        if news or moved:
            self.changed(moved)

    def _store(self) -> None:
        known = {self._host(peer) for peer in self.named.values()}
        keep = {name: addresses for name, addresses in sorted(self.resolved.items()) if name in known}
        try:
            write_whole(self.paths.endpoints, json.dumps(keep, indent=1).encode(), 0o644)
        except Refused as error:
            log.warning("%s", error)
