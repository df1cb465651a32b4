"""What `status` tells: read from the system at this moment, in plain values for programs and people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from appliance import __version__
from appliance.core.in_force import DAY_SECONDS, SESSION_SECONDS, behind, expired, moved, notices, standing
from appliance.core.plan import Plan, running_engine
from appliance.core.pppoe_words import trouble
from appliance.core.state import (
    LEASE_DEVICE,
    OLD,
    ON_LINK,
    Desired,
    DesiredLink,
    DesiredPeer,
    DesiredTunnel,
    Observed,
    ObservedDevice,
    PppSession,
    Uplink,
)
from appliance.core.status_words import SCHEMA


def report(
    desired: Desired | None,
    observed: Observed,
    todo: Plan | None,
    failures: tuple[str, ...],
    counters: dict[str, int],
    talking: frozenset[tuple[str, str]],
    last_seen: Mapping[str, float],
) -> dict[str, Any]:
    """The answer to `status`. `todo` is what differs from the wish; `talking` are the (device, public key) of
    the peers with which data went both ways lately; `last_seen` by public key, in seconds since 1970, goes
    back before the engines' start."""
    base: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "site": desired.site if desired else None,
        "box": desired.box if desired else None,
        "configuration": desired.digest if desired else None,
        "role": "alone" if desired else "unconfigured",
        "forwarding": observed.sysctls.get("net.ipv4.ip_forward") == "1",
        "firewall": {"stands": bool(observed.ruleset), "counters": counters},
        "capabilities": {"kernel_wireguard": observed.kernel_wireguard, "flow_offload": observed.flow_offload},
        "pending": [str(step) for step in todo.steps] if todo else [],
        "notices": list(notices(desired, observed)) if desired else [],
        "warnings": [*(todo.warnings if todo else ()), *failures],
        "interfaces": [],
        "uplinks": [],
        "tunnels": [],
    }
    if desired:
        sessions = {session.name: session for session in desired.sessions}
        base["interfaces"] = [_with_above(link, observed, sessions.get(link.name)) for link in desired.links]
        cards = {link.name: link.device for link in desired.links}
        base["uplinks"] = [
            _uplink(each, observed, sessions.get(each.name), cards.get(each.name, "")) for each in desired.uplinks
        ]
        now = standing(desired, observed.at_least)
        uses = moved(now, observed.devices, observed.routes)
        base["tunnels"] = [_tunnel(tunnel, observed, uses, talking, last_seen) for tunnel in now.tunnels]
    return base


def _interface(name: str, device: str, observed: Observed) -> dict[str, Any]:
    link = observed.links.get(device)
    return {
        "name": name,
        "device": device,
        "present": link is not None,
        "carrier": bool(link and link.carrier),
        "mtu": link.mtu if link else None,
        "addresses": sorted(link.addresses) if link else [],
    }


def _with_above(link: DesiredLink, observed: Observed, session: PppSession | None) -> dict[str, Any]:
    """The cable of an uplink by lease or PPPoE is its card's, its addresses are those of the device above: none, if
    not master."""
    found = _interface(link.name, link.device, observed)
    if session:
        found["session"] = _session(session, observed)
        above = observed.links.get(session.device)
        found["addresses"] = sorted(above.addresses) if above else []
    elif link.above:
        lent = observed.links.get(link.above)
        here = bool(lent and lent.up)
        found["addresses"] = sorted(lent.addresses) if lent and here else []
        found["lease"] = {"device": link.above, "mac": lent.mac if lent else None, "here": here}
    return found


def _session(session: PppSession, observed: Observed) -> dict[str, Any]:
    """`elsewhere`: the other box has it, since the lease's device below is down here; `trouble` says why the session
    is not up, "" for nothing known; `ended` is pppd's exit status."""
    link, found = observed.links.get(session.device), observed.sessions.get(session.device)
    below = observed.links.get(session.parent)
    up = bool(link and link.up and link.addresses)
    return {
        "device": session.device,
        "up": up,
        "dials": bool(found and found.running),
        "elsewhere": session.parent.startswith(LEASE_DEVICE) and not (below and below.up),
        "mtu": link.mtu if link else None,
        "trouble": "" if up or not found else trouble(found.ended),
        "ended": None if up or not found else found.ended,
    }


def _uplink(uplink: Uplink, observed: Observed, session: PppSession | None, below: str) -> dict[str, Any]:
    """A session has the cable of the card `below` it, and no gateway: whoever is at its other end."""
    defaults = sorted((d for d in observed.defaults if d.device == uplink.device), key=lambda d: d.metric)
    gateways = [default.gateway for default in defaults if default.gateway not in ON_LINK]
    found = {**_interface(uplink.name, uplink.device, observed), "gateways": gateways}
    if session:
        card = observed.links.get(below)
        found |= {"present": card is not None, "carrier": bool(card and card.carrier)}
        found |= {"card": below, "session": _session(session, observed)}
    return found


def _tunnel(
    tunnel: DesiredTunnel,
    observed: Observed,
    uses: Mapping[str, bool],
    talking: frozenset[tuple[str, str]],
    last_seen: Mapping[str, float],
) -> dict[str, Any]:
    """While the box's key is replaced each peer stands in the tunnel whose key it uses; `uses` says who uses the new
    one."""
    link = observed.links.get(tunnel.device)
    state = observed.devices.get(tunnel.device)
    return {
        "name": tunnel.name,
        "device": tunnel.device,
        "present": state is not None,
        "engine": running_engine(link.kind) if link else None,
        "engine_wanted": tunnel.engine,
        "public_key": state.public_key if state else observed.keys.get(tunnel.key),
        "key": tunnel.key_number,
        "replaced_by": tunnel.base if tunnel.replaced_by else None,
        "expires": _day(tunnel.expires - DAY_SECONDS if tunnel.expires else None),
        "listen_port": state.listen_port if state else None,
        "mtu": link.mtu if link else None,
        "addresses": sorted(link.addresses) if link else [],
        "peers": [
            found
            for peer in tunnel.peers
            if uses.get(behind(peer.name), True) != bool(tunnel.replaced_by)
            and (found := _peer(peer, state, observed.at_least, (tunnel.device, peer.public_key) in talking, last_seen))
        ],
    }


def _peer(
    peer: DesiredPeer, device: ObservedDevice | None, at_least: float, talks: bool, last_seen: Mapping[str, float]
) -> dict[str, Any] | None:
    """None for old keys that are used no more. `talks`: data went both ways lately."""
    state = device.peers.get(peer.public_key) if device else None
    age = time.time() - state.last_handshake if state and state.last_handshake else None
    alive = age is not None and age < SESSION_SECONDS
    before = last_seen.get(peer.public_key)
    seen = age if age is not None else time.time() - before if before else None
    if state is None and peer.replaced_by:
        return None
    away = "expired" if expired(peer, at_least) else "absent"
    return {
        # A peer is the same one whichever of the box's keys it uses.
        "name": peer.name.replace(f"{OLD}.", ".", 1),
        "public_key": peer.public_key,
        # "up" says that data went both ways; a session with nothing but keepalives does not.
        "state": away if state is None else "up" if alive and talks else "idle" if seen else "never seen",
        "endpoint": state.endpoint if state else None,
        "endpoint_wanted": peer.endpoint,
        "handshake_age_seconds": round(age, 1) if age is not None else None,
        "last_seen_seconds": round(max(0.0, seen), 1) if seen is not None else None,
        "received_bytes": state.received if state else 0,
        "sent_bytes": state.sent if state else 0,
        "allowed_ips": sorted(state.allowed_ips) if state else [],
        "keepalive_seconds": state.keepalive if state else 0,
        "preshared_key": bool(state and state.preshared_key),
        "keys_since": _day(peer.since),
        # The last day on which it gets in.
        "expires": _day(peer.expires - DAY_SECONDS if peer.expires else None),
    }


def _day(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%d", time.gmtime(seconds))
