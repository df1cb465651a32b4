"""Peers that do not answer, and what can be told of why.

WireGuard is silent to strangers, so a key that does not match and a packet that never arrived often look the same from
one side. What differs: a router's ICMP; an answer to our handshake that our side cannot open (the preshared key); a
call from there, whose mac1 shows for whose key it was made, and which the box's own key opens.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.doctor.evidence import Evidence, PeerSeen, TunnelSeen
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.firewall import Rules
from appliance.core.doctor.handshakes import callers, calls, preshared_key, times, wrong_keys
from appliance.core.doctor.nat import nat
from appliance.core.doctor.traffic import traffic
from appliance.core.doctor.wire import PORT
from appliance.core.peers import endpoint_parts


def tunnels(evidence: Evidence, rules: Rules | None, resolver_dead: bool) -> Iterator[Finding]:
    """One cause for each peer that was called in vain, then calls that lead to nothing, then traffic that is lost."""
    explained: set[str] = set()
    missing = {lookup.name for lookup in evidence.lookups if not lookup.addresses}
    for peer in evidence.peers:
        if peer.host in missing and (resolver_dead or not peer.endpoint):
            continue  # Its name is the trouble, and was told.
        if peer.echoes or not peer.called:
            continue
        # A colleague's device may be off, or asleep, and its router may say so: nothing is wrong.
        found = _turned_away(peer, evidence) if peer.endpoint_wanted else None
        if not found and not peer.answered:
            found = _silent(peer, evidence)
        if found:
            explained.update(each.there for each in calls(evidence) if endpoint_parts(each.there)[0] == peer.address)
            yield found
    yield from callers(evidence, explained)
    yield from nat(evidence, rules)
    yield from traffic(evidence, rules)


def _silent(peer: PeerSeen, evidence: Evidence) -> Finding | None:
    """Why a peer that was called says nothing."""
    tunnel = next((each for each in evidence.tunnels if each.name == peer.tunnel), None)
    if tunnel is None:
        return None
    heard = [each for each in evidence.overheard.handshakes if each.there == peer.endpoint]
    number = sum(each.out and each.initiation for each in heard)
    answers = sum(not each.out and not each.initiation for each in heard)
    called = f"{times(number, 'handshake')} sent to {peer.endpoint}"
    if answers:
        return preshared_key(peer, f"{called}, {times(answers, 'answer')} came back, and no session began")
    if not peer.endpoint_wanted:
        return None
    if (by_call := wrong_keys(peer, tunnel, evidence)) is not None:
        return by_call
    if moved := _moved(peer, evidence):
        return moved
    return _unanswered(peer, tunnel, called)


def _unanswered(peer: PeerSeen, tunnel: TunnelSeen, called: str) -> Finding:
    ping = {True: f"{peer.address} answers pings", False: f"{peer.address} does not answer pings either", None: ""}
    before = "never" if peer.handshake_age is None else f"{peer.handshake_age:.0f} s ago"
    if peer.handshake_age is None:
        why = (
            "its UDP port is blocked or not forwarded on the way, or the public keys do not match; from here the two "
            "cannot be told apart, since WireGuard does not answer strangers"
        )
    else:
        why = (
            "it worked before with these keys, so the far end is down, or UDP is blocked on the way, or its keys were "
            "changed there"
        )
    return Finding(
        "unanswered",
        peer.name,
        f"{peer.name} does not answer: {why}.",
        tuple(each for each in (f"{called}, nothing came back", ping[peer.pings], f"last handshake: {before}") if each),
        f"at the far end: does WireGuard run and listen on UDP port {peer.port}, is the port open and "
        f"forwarded; is its own public key {peer.public_key}, and does it know this box as {tunnel.public_key}",
    )


def _turned_away(peer: PeerSeen, evidence: Evidence) -> Finding | None:
    said = next((each for each in evidence.overheard.unreachable if each.there == peer.endpoint), None)
    if said is None:
        return None
    seen = (f"{said.said_by} answered a packet to {peer.endpoint}: {said.reason} (ICMP)",)
    if said.reason == PORT and said.said_by == peer.address:
        return Finding(
            "no-listener",
            peer.name,
            f"The host of {peer.name} is there, but no WireGuard listens on UDP port {peer.port}.",
            seen,
            "start WireGuard at the far end, or correct the port in `endpoint:`; behind a router there, forward the "
            "port",
        )
    return Finding(
        "turned-away",
        peer.name,
        f"{peer.name} cannot be reached at {peer.endpoint}: {said.said_by} turns the packets away ({said.reason}).",
        seen,
        f"ask whoever runs {said.said_by} to let UDP port {peer.port} through, or correct `endpoint:`",
    )


def _moved(peer: PeerSeen, evidence: Evidence) -> Finding | None:
    for lookup in evidence.lookups:
        if lookup.name == peer.host and lookup.addresses and peer.address and peer.address not in lookup.addresses:
            return Finding(
                "endpoint-moved",
                peer.name,
                f"{peer.name} has moved: it is called at {peer.address}, and {lookup.name} says "
                f"{', '.join(lookup.addresses)} now.",
                (f"nothing comes back from {peer.endpoint}",),
                "none: the box follows within 20 s of the first packet that is not answered; if it does not, see "
                "`journalctl -u appliance`",
            )
    return None
