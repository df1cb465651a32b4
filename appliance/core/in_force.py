"""Desired × Observed → what counts at this moment: who has expired, and which of two keys is in charge.

While a peer's keys are being replaced it stands in Desired twice, with the old key as TUNNEL.PEER/old. WireGuard gives
an address to one key at a time (whitepaper, section 2), so the old one keeps the addresses until the new one has shaken
hands for the first time; a handshake needs no addresses. From then on the new one has them and the old one is gone.

While the box's own key is being replaced a tunnel stands twice, with the old key as TUNNEL/old, since an interface has
one private key. Both have all peers with all their addresses; what counts is by which of the two the box sends, and
that is a route. It follows each peer to the interface at which it shakes hands.

What tells is the engines' own word on the last handshake, so nothing is remembered, and any plan says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from appliance.core.state import OLD, Desired, DesiredPeer, DesiredTunnel, Observed, ObservedDevice, Route

DAY_SECONDS = 86400.0
NOTICE_SECONDS = 14 * DAY_SECONDS
"""How long before something ends it is told."""
SESSION_SECONDS = 180.0
"""A session ends so long after its handshake (REJECT_AFTER_TIME, whitepaper, section 6.1)."""


def in_force(desired: Desired, observed: Observed) -> Desired:
    """`desired` with the tunnels, peers and routes that count now."""
    found = standing(desired, observed.at_least)
    tunnels = tuple(_tunnel(each, observed.devices, observed.at_least) for each in found.tunnels)
    if any(one is not other for one, other in zip(tunnels, found.tunnels, strict=True)):
        found = replace(found, tunnels=tunnels)
    return _by_either_key(found, observed) if any(each.replaced_by for each in tunnels) else found


def standing(desired: Desired, at_least: float) -> Desired:
    """`desired` without the tunnels whose last day is over: those of the box's old keys."""
    tunnels = tuple(each for each in desired.tunnels if not _over(each, at_least))
    return desired if len(tunnels) == len(desired.tunnels) else replace(desired, tunnels=tunnels)


def behind(peer: str) -> str:
    """A peer's name without what says which of its keys, and which of the box's, is meant: TUNNEL.PEER."""
    tunnel, _, name = peer.partition(".")
    return f"{tunnel.removesuffix(OLD)}.{name.removesuffix(OLD)}"


def moved(desired: Desired, devices: Mapping[str, ObservedDevice], now: Iterable[Route] = ()) -> dict[str, bool]:
    """By TUNNEL.PEER, for tunnels whose key is being replaced: whether the peer uses the new one.

    The new key counts as long as it has a session, also beside a younger one with the old key: who has both, as
    another office does for a while, goes on with the new one. A peer that returned to its old file is followed when
    the session with the new key has ended. An engine that was just started knows of neither: then the routes stay as
    they are (`now`), or lead by the old key.
    """
    found: dict[str, bool] = {}
    lead = {(route.device, route.destination) for route in now}
    for old in desired.tunnels:
        new = next((each for each in desired.tunnels if each.device == old.replaced_by), None)
        if new is None:
            continue
        before, after = _handshakes(old, devices), _handshakes(new, devices)
        for peer in new.peers:
            name = behind(peer.name)
            old_at, new_at = before.get(name, 0.0), after.get(name, 0.0)
            known = bool(old_at or new_at)
            led = any((new.device, each) in lead for each in peer.allowed_ips) or found.get(name, False)
            found[name] = new_at > max(old_at - SESSION_SECONDS, 0.0) if known else led
    return found


def overdue(desired: Desired, devices: Mapping[str, ObservedDevice], at_least: float) -> bool:
    """Whether an engine has other peers or addresses than count by now: no event tells of a handshake or of a date."""
    for tunnel in desired.tunnels:
        device = devices.get(tunnel.device)
        if device is None:
            continue
        if _over(tunnel, at_least):
            return True
        changing = {peer.public_key for peer in tunnel.peers if _changes(peer)}
        if not changing:
            continue
        counts = {peer.public_key: frozenset(peer.allowed_ips) for peer in _tunnel(tunnel, devices, at_least).peers}
        for key in changing:
            now = device.peers.get(key)
            if (now.allowed_ips if now else None) != counts.get(key):
                return True
    return False


def replacing(desired: Desired, devices: Mapping[str, ObservedDevice], at_least: float) -> bool:
    """Whether a new key is waited for, a peer's or the box's."""
    now = standing(desired, at_least)
    if not all(moved(now, devices).values()):
        return True
    tunnels = (each for each in now.tunnels if any(peer.replaced_by for peer in each.peers))
    return any(peer.replaced_by for tunnel in tunnels for peer in _tunnel(tunnel, devices, at_least).peers)


def notices(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """What ends soon, in sentences; nothing as long as nobody knows the time."""
    now = observed.at_least
    if not now:
        return ()
    found: list[str] = []
    undated = [peer.name for tunnel in desired.tunnels for peer in _undated(tunnel)] if desired.key_days else []
    if undated:
        found.append(f"keys.max_age says nothing of {_few(undated)}: `since:` does not say when their keys were made")
    for tunnel in in_force(desired, observed).tunnels:
        found += _own_key(desired, tunnel, observed)
        for peer in tunnel.peers if not tunnel.replaced_by else ():
            if peer.replaced_by:
                name = peer.name.removesuffix(OLD)
                left = f"; the old one ends {_when(peer.expires, now)}" if peer.expires else ""
                found.append(f"{name} has not used its new key yet{left}")
            elif peer.expires and peer.expires - now < NOTICE_SECONDS:
                found.append(f"{peer.name} expires {_when(peer.expires, now)}; write another `expires:` to keep it")
            if peer.since and not peer.replaced_by and (age := _due(desired, peer.since, now)):
                found.append(
                    f"the keys of {peer.name} are {age} days old (keys.max_age is {desired.key_days}d): "
                    f"appliance peer rotate {peer.name}"
                )
    for tunnel in desired.tunnels:
        found += [
            f"{peer.name} has expired and gets in no more; give it another day, or: appliance peer remove {peer.name}"
            for peer in tunnel.peers
            if not tunnel.replaced_by and expired(peer, now) and not peer.replaced_by
        ]
    return tuple(found)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _undated(tunnel: DesiredTunnel) -> list[DesiredPeer]:
    """The peers of which nobody said when their keys were made; the pair link's are made anew by enrolling."""
    if not tunnel.moves or tunnel.replaced_by:
        return []
    return [peer for peer in tunnel.peers if peer.since is None and not peer.replaced_by]


def expired(peer: DesiredPeer, at_least: float) -> bool:
    return peer.expires is not None and at_least >= peer.expires


def _own_key(desired: Desired, tunnel: DesiredTunnel, observed: Observed) -> Iterable[str]:
    """What is to be said of the box's own key of a tunnel."""
    now = observed.at_least
    if tunnel.replaced_by:
        uses = moved(desired, observed.devices, observed.routes)
        left = sorted({behind(peer.name) for peer in tunnel.peers if not uses.get(behind(peer.name))})
        end = f"the box's old key of {tunnel.base} ends {_when(tunnel.expires or now, now)}"
        link = observed.links.get(tunnel.device)
        if link and not link.up:
            yield f"{end}; who still uses it, the master says"
        elif left:
            # One command for all of them: `peer show` says what is new in a file.
            yield f"{end}; not seen with the new one yet: {_few(left)} (new files: appliance peer show NAME)"
        else:
            yield f"{end}, and everybody uses the new one: appliance peer rotate --own --tunnel {tunnel.base} --finish"
        return
    since = tunnel.since or observed.keys_made.get(tunnel.key)
    if tunnel.moves and since and (age := _due(desired, since, now)):
        yield (
            f"the box's own key of {tunnel.name} is {age} days old (keys.max_age is {desired.key_days}d): "
            f"appliance peer rotate --own --tunnel {tunnel.name}"
        )


def _due(desired: Desired, since: float, now: float) -> int:
    """How many days old keys of that day are, 0 as long as nobody need know."""
    age = int((now - since) // DAY_SECONDS)
    return age if desired.key_days and age >= desired.key_days - NOTICE_SECONDS // DAY_SECONDS else 0


def _over(tunnel: DesiredTunnel, at_least: float) -> bool:
    return tunnel.expires is not None and at_least >= tunnel.expires


def _by_either_key(desired: Desired, observed: Observed) -> Desired:
    """`desired`, whose routes all lead by the box's new keys, with those of peers that do not use them by the old."""
    uses = moved(desired, observed.devices, observed.routes)
    back: dict[tuple[str, str], str] = {}
    tunnels = []
    for tunnel in desired.tunnels:
        peers = tunnel.peers
        if tunnel.replaced_by:
            back |= {
                (tunnel.replaced_by, each): tunnel.device
                for peer in peers
                if not uses[behind(peer.name)]
                for each in peer.allowed_ips
            }
            # Whoever has moved is not called any more in the name of a key that he does not know.
            peers = tuple(replace(peer, keepalive=0) if uses[behind(peer.name)] else peer for peer in peers)
        tunnels.append(replace(tunnel, peers=peers))
    routes = tuple(
        replace(route, device=back.get((route.device, route.destination), route.device)) for route in desired.routes
    )
    return replace(desired, tunnels=tuple(tunnels), routes=routes)


def _handshakes(tunnel: DesiredTunnel, devices: Mapping[str, ObservedDevice]) -> dict[str, float]:
    """By TUNNEL.PEER, the last handshake with whichever of the peer's keys."""
    device = devices.get(tunnel.device)
    found: dict[str, float] = {}
    for peer in tunnel.peers if device else ():
        state = device.peers.get(peer.public_key) if device else None
        if state and state.last_handshake:
            name = behind(peer.name)
            found[name] = max(found.get(name, 0.0), state.last_handshake)
    return found


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
