"""The diff of a tunnel's peers: only what differs is touched, so that no other peer loses a packet.

An endpoint belongs to the peer once it is up: WireGuard follows it wherever it roams (whitepaper, section 2.1), and a
plan sets it only in the three cases that `_endpoint` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.core.state import Desired, DesiredPeer, DesiredTunnel, Observed, ObservedDevice, ObservedPeer, Role
from appliance.core.steps import PeerChange, SetPeers

CALL_SECONDS = 25
"""Any keepalive makes an engine call a peer that it has no session with; this one is everybody's."""


@dataclass(frozen=True, slots=True)
class Change:
    """The step for one tunnel's peers (None: nothing to do), what takes it back, and what to tell people."""

    step: SetPeers | None
    undo: SetPeers | None
    disturbs: str
    warnings: tuple[str, ...]


def change(
    tunnel: DesiredTunnel,
    engine: str,
    state: ObservedDevice | None,
    observed: Observed,
    previous: Desired | None,
    moved: dict[str, str],
    seen: Mapping[str, str],
    role: Role,
) -> Change:
    """Compares the peers that `tunnel` should have with those that its engine has (`state` None: there is none yet)."""
    present = state.peers if state else {}
    before = _endpoints(previous)
    changes: list[PeerChange] = []
    back: list[PeerChange] = []
    anew: list[str] = []
    warnings: list[str] = []
    wanted = set()
    for peer in tunnel.peers:
        if peer.preshared_key and peer.preshared_key not in observed.secrets:
            warnings.append(
                f"{peer.name} is left out: its secret {peer.preshared_key} is not on this box; "
                f"write it to /data/appliance/secrets/{peer.preshared_key} (mode 0600)"
            )
            continue
        wanted.add(peer.public_key)
        now = present.get(peer.public_key)
        endpoint = _endpoint(peer, now, observed, before.get(peer.name, peer.endpoint), moved.get(peer.name))
        if now is None and endpoint is None and peer.name in seen:
            endpoint = seen[peer.name]
        found = _new(peer, endpoint) if now is None else _difference(peer, now, endpoint, observed, role)
        if found and now:
            back.append(_restore(peer.name, now, observed.secrets))
            if found.preshared_key is not None:
                # Its session knows nothing of the key and would go on for minutes, so that a wrong key would be
                # noticed when nobody looks any more. Removed and added, the peer has to show that it has the key.
                anew.append(peer.public_key)
                found = replace(
                    found,
                    allowed_ips=peer.allowed_ips,
                    replace=True,
                    endpoint=found.endpoint or now.endpoint,
                    keepalive=_keepalive(peer, found.endpoint or now.endpoint),
                )
        if found:
            changes.append(found)
    gone = present.keys() - wanted
    removed = tuple(sorted({*gone, *anew}))
    if not changes and not removed:
        return Change(None, None, "", tuple(warnings))
    back += [_restore("", present[key], observed.secrets) for key in sorted(gone)]
    added = tuple(each.public_key for each in changes if each.new)
    return Change(
        SetPeers(tunnel.device, engine, tuple(changes), removed),
        SetPeers(tunnel.device, engine, tuple(back), (*added, *anew)) if state else None,
        _disturbs(changes, len(gone)),
        tuple(warnings),
    )


def restored(device: str, engine: str, state: ObservedDevice, secrets: dict[str, str]) -> SetPeers:
    """The step that gives a new interface the peers that `state` had."""
    return SetPeers(device, engine, tuple(_restore("", peer, secrets, new=True) for peer in state.peers.values()))


def endpoint_parts(text: str) -> tuple[str, str]:
    """`HOST:PORT` or `[HOST]:PORT` to its two parts."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), port


def is_name(host: str) -> bool:
    """Whether the host of an endpoint is a name rather than an address."""
    return ":" not in host and not host.replace(".", "").isdigit()


def endpoint_text(address: str, port: str | int) -> str:
    """The form in which an engine shows an endpoint."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoints(desired: Desired | None) -> dict[str, str | None]:
    tunnels = desired.tunnels if desired else ()
    return {peer.name: peer.endpoint for tunnel in tunnels for peer in tunnel.peers}


def _endpoint(
    peer: DesiredPeer, now: ObservedPeer | None, observed: Observed, before: str | None, moved: str | None
) -> str | None:
    """The endpoint to set: the peer is new or has none; the file's text changed; or it was found to have moved."""
    if moved and (now is None or now.endpoint != moved):
        return moved
    if peer.endpoint is None:
        return None
    if now is not None and now.endpoint is not None and before == peer.endpoint:
        return None
    host, port = endpoint_parts(peer.endpoint)
    if not is_name(host):
        wish = endpoint_text(host, port)
    else:
        addresses = observed.resolved.get(host, ())
        if not addresses:
            return None
        wish = endpoint_text(addresses[0], port)
    return wish if now is None or now.endpoint != wish else None


def _new(peer: DesiredPeer, endpoint: str | None) -> PeerChange:
    return PeerChange(
        peer.name,
        peer.public_key,
        new=True,
        allowed_ips=peer.allowed_ips,
        preshared_key=peer.preshared_key,
        endpoint=endpoint,
        # Where a lost engine's peer was last seen it is called at once: it would go on for 15 s with a session that
        # nobody has any more. The next look sets the keepalive back.
        keepalive=(CALL_SECONDS if endpoint and not peer.endpoint else 0) or _keepalive(peer, endpoint) or None,
    )


def _keepalive(peer: DesiredPeer, endpoint: str | None) -> int:
    """None before the endpoint is known: an engine that cannot send its first call waits 5 s before the next."""
    return peer.keepalive if endpoint or not peer.endpoint else 0


def _difference(
    peer: DesiredPeer, now: ObservedPeer, endpoint: str | None, observed: Observed, role: Role
) -> PeerChange | None:
    wanted = frozenset(peer.allowed_ips)
    added = tuple(sorted(wanted - now.allowed_ips)) if wanted != now.allowed_ips else ()
    surplus = bool(now.allowed_ips - wanted)
    key = observed.secrets[peer.preshared_key] if peer.preshared_key else ""
    keepalive = _keepalive(peer, endpoint or now.endpoint)
    rekeyed = key != now.preshared_key
    called = keepalive != now.keepalive and not role.calling
    if not (added or surplus or rekeyed or called or endpoint is not None):
        return None
    return PeerChange(
        peer.name,
        peer.public_key,
        allowed_ips=peer.allowed_ips if surplus else added or None,
        replace=surplus,
        preshared_key=(peer.preshared_key or "") if rekeyed else None,
        endpoint=endpoint,
        keepalive=keepalive if called else None,
    )


def _restore(name: str, peer: ObservedPeer, secrets: dict[str, str], new: bool = False) -> PeerChange:
    names = {digest: secret for secret, digest in secrets.items()}
    return PeerChange(
        name or f"{peer.public_key[:12]}…",
        peer.public_key,
        new=new,
        allowed_ips=tuple(sorted(peer.allowed_ips)),
        replace=True,
        preshared_key=names.get(peer.preshared_key, "") if peer.preshared_key else "",
        endpoint=peer.endpoint,
        keepalive=peer.keepalive,
    )


def _disturbs(changes: list[PeerChange], removed: int) -> str:
    rekeyed = sum(change.preshared_key is not None and not change.new for change in changes)
    # A peer with another preshared key is made anew, and is given the endpoint that it had.
    moved = sum(change.endpoint is not None and change.preshared_key is None and not change.new for change in changes)
    parts = [
        f"{removed} peers are cut off" if removed else "",
        f"{rekeyed} peers shake hands anew (preshared key)" if rekeyed else "",
        f"{moved} peers are called at a new endpoint" if moved else "",
    ]
    return ", ".join(part for part in parts if part)
