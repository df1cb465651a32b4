"""Desired × Observed → the peers that count at this moment: who has expired, and which of two keys is in charge.

While a peer's keys are being replaced it stands in Desired twice, with the old key as TUNNEL.PEER/old. WireGuard gives
an address to one key at a time (whitepaper, section 2), so the old one keeps the addresses until the new one has shaken
hands for the first time; a handshake needs no addresses. From then on the new one has them and the old one is gone.
What tells is the engine's own word on the last handshake, so nothing is remembered, and any plan says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from appliance.core.state import Desired, DesiredPeer, DesiredTunnel, Observed, ObservedDevice

DAY_SECONDS = 86400.0
NOTICE_SECONDS = 14 * DAY_SECONDS
"""How long before something ends it is told."""


def in_force(desired: Desired, observed: Observed) -> Desired:
    """`desired` with the peers that count now."""
    tunnels = tuple(_tunnel(each, observed.devices, observed.at_least) for each in desired.tunnels)
    same = all(one is other for one, other in zip(tunnels, desired.tunnels, strict=True))
    return desired if same else replace(desired, tunnels=tunnels)


def overdue(desired: Desired, devices: Mapping[str, ObservedDevice], at_least: float) -> bool:
    """Whether an engine has other peers or addresses than count by now: no event tells of a handshake or of a date."""
    for tunnel in desired.tunnels:
        changing = {peer.public_key for peer in tunnel.peers if _changes(peer)}
        device = devices.get(tunnel.device)
        if not changing or device is None:
            continue
        counts = {peer.public_key: frozenset(peer.allowed_ips) for peer in _tunnel(tunnel, devices, at_least).peers}
        for key in changing:
            now = device.peers.get(key)
            if (now.allowed_ips if now else None) != counts.get(key):
                return True
    return False


def replacing(desired: Desired, devices: Mapping[str, ObservedDevice], at_least: float) -> bool:
    """Whether a new key is waited for."""
    tunnels = (each for each in desired.tunnels if any(peer.replaced_by for peer in each.peers))
    return any(peer.replaced_by for tunnel in tunnels for peer in _tunnel(tunnel, devices, at_least).peers)


def notices(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """What ends soon, in sentences; nothing as long as nobody knows the time."""
    now = observed.at_least
    found: list[str] = []
    for tunnel in in_force(desired, observed).tunnels:
        for peer in tunnel.peers if now else ():
            if peer.replaced_by:
                name = peer.name.partition("/")[0]
                left = f"; the old one ends {_when(peer.expires, now)}" if peer.expires else ""
                found.append(f"{name} has not used its new key yet{left}")
            elif peer.expires and peer.expires - now < NOTICE_SECONDS:
                found.append(f"{peer.name} expires {_when(peer.expires, now)}; write another `expires:` to keep it")
            if desired.key_days and peer.since and not peer.replaced_by:
                age = int((now - peer.since) // DAY_SECONDS)
                if age >= desired.key_days - NOTICE_SECONDS // DAY_SECONDS:
                    found.append(
                        f"the keys of {peer.name} are {age} days old (keys.max_age is {desired.key_days}d): "
                        f"appliance peer rotate {peer.name}"
                    )
    for tunnel in desired.tunnels:
        found += [
            f"{peer.name} has expired and gets in no more; give it another day, or: appliance peer remove {peer.name}"
            for peer in tunnel.peers
            if expired(peer, now) and not peer.replaced_by
        ]
    return tuple(found)


def expired(peer: DesiredPeer, at_least: float) -> bool:
    return peer.expires is not None and at_least >= peer.expires


def _changes(peer: DesiredPeer) -> bool:
    return bool(peer.expires is not None or peer.replaced_by or peer.replaces)


def _tunnel(tunnel: DesiredTunnel, devices: Mapping[str, ObservedDevice], at_least: float) -> DesiredTunnel:
    if not any(map(_changes, tunnel.peers)):
        return tunnel
    device = devices.get(tunnel.device)
    alive = [peer for peer in tunnel.peers if not expired(peer, at_least)]
    keys = {peer.public_key for peer in alive}

    def shaken(key: str) -> bool:
        state = device.peers.get(key) if device else None
        return key in keys and state is not None and state.last_handshake > 0

    counting = []
    for peer in alive:
        if peer.replaced_by and shaken(peer.replaced_by):
            continue
        waits = peer.replaces in keys and not shaken(peer.public_key)
        counting.append(replace(peer, allowed_ips=()) if waits else peer)
    return replace(tunnel, peers=tuple(counting))


def _when(end: float, now: float) -> str:
    days = int((end - now) // DAY_SECONDS)
    return "today" if days < 1 else f"in {days} day{'s' if days > 1 else ''}"
