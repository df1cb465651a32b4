"""What a handshake tells of the keys on both sides, although it came to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.core.doctor.evidence import Evidence, PeerSeen, TunnelSeen
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.wire import Handshake, made_for
from appliance.core.peers import endpoint_parts


def preshared_key(peer: PeerSeen, evidence: str) -> Finding:
    """The peer answered a handshake of this box, which cannot open the answer; `evidence` says what was heard."""
    ours = "another preshared key than this box" if peer.preshared_key else "a preshared key, and this box has none"
    return Finding(
        "preshared-key",
        peer.name,
        f"The preshared key of {peer.name} does not match: it has {ours}"
        + (", or none." if peer.preshared_key else "."),
        (evidence, "both public keys are right, or nothing would have come back"),
        f"give both sides the same one; `appliance peer rotate {peer.name}` makes a new one"
        if peer.preshared_key
        else f"write `preshared_key: {{secret: NAME}}` at {peer.name}, or remove PresharedKey there",
    )


def wrong_keys(peer: PeerSeen, tunnel: TunnelSeen, evidence: Evidence) -> Finding | None:
    """What a call from the peer's address says of the keys, where it was not answered."""
    for call in calls(evidence):
        if endpoint_parts(call.there)[0] == peer.address and not _answered(call, evidence):
            return _refused(call, peer, tunnel, evidence)
    return None


def callers(evidence: Evidence, explained: set[str]) -> Iterator[Finding]:
    """Calls from elsewhere that lead to nothing."""
    told = set(explained)
    for call in calls(evidence):
        tunnel = next(
            (each for each in evidence.tunnels if str(each.listen_port) == endpoint_parts(call.here)[1]), None
        )
        if call.there in told or tunnel is None:
            continue
        number = sum(each.there == call.there for each in calls(evidence))
        key = next((each.public_key for each in evidence.callers if each.there == call.there), "")
        peer = next((each for each in evidence.peers if key and each.public_key == key), None)
        if not _answered(call, evidence):
            told.add(call.there)
            yield _refused(call, peer, tunnel, evidence)
        elif number > 1 and not (peer and peer.answered):
            told.add(call.there)
            yield _half_open(call, number, tunnel, peer)


def _refused(call: Handshake, peer: PeerSeen | None, tunnel: TunnelSeen, evidence: Evidence) -> Finding:
    """Why the engine does not answer a call; `peer` is whose call it seems to be."""
    who, about = (peer.name, peer.name) if peer else (f"Somebody at {call.there}", call.there)
    if not made_for(call, tunnel.public_key):
        return Finding(
            "box-key",
            about,
            f"{who} calls tunnel {tunnel.name} by a wrong public key for this box, which cannot answer it.",
            (f"{call.there} sends handshakes that are made for another key than {tunnel.public_key}",),
            f"write at the far end, as PublicKey of this box: {tunnel.public_key}",
        )
    caller = next((each for each in evidence.callers if each.there == call.there), None)
    known = [each for each in evidence.peers if caller and each.public_key == caller.public_key]
    if caller and known:
        return Finding(
            "peer-clock",
            known[0].name,
            f"The clock of {known[0].name} was set back, and WireGuard refuses handshakes dated before the last one.",
            (f"{call.there} calls with its right key; its clock is {_off(caller.ahead)} this box's",),
            "set its clock right (a device without a battery starts in the past); if it was ahead before and is right "
            f"now: sudo wg set {tunnel.device} peer {caller.public_key} remove, then `appliance apply` adds it anew",
        )
    calls_with = f"its key is {caller.public_key}" if caller else "its key could not be read"
    if peer:
        return Finding(
            "peer-key",
            peer.name,
            f"{peer.name} calls with another key than the one in the file, so this box does not answer.",
            (f"{call.there} calls this box by its right key; {calls_with}", f"the file says {peer.public_key}"),
            f"if that is the key there (`wg show`), write it as `public_key:` of {peer.name}; otherwise somebody else "
            "calls from that address",
        )
    return Finding(
        "unknown-peer",
        call.there,
        f"Somebody at {call.there} calls tunnel {tunnel.name} with a key that the file does not have.",
        (f"the handshakes are made for this box's right key, and the engine does not answer; {calls_with}",),
        "if it is a colleague's device: correct its `public_key:` in the file, or make it a peer, `appliance peer add`",
    )


def _half_open(call: Handshake, number: int, tunnel: TunnelSeen, peer: PeerSeen | None) -> Finding:
    """Called, answered, and called again."""
    who = peer.name if peer else f"Somebody at {call.there}"
    return Finding(
        "preshared-key",
        peer.name if peer else call.there,
        f"{who} calls tunnel {tunnel.name} again and again although it is answered: its preshared key is another one "
        "than here, or the answers do not get back to it.",
        (f"{times(number, 'handshake')} from {call.there}, each answered, and no session began",),
        "give both sides the same preshared key"
        + (f"; `appliance peer rotate {peer.name}` makes a new one" if peer else "")
        + "; if it is the same, see whether a firewall there drops UDP that comes in",
    )


def calls(evidence: Evidence) -> Sequence[Handshake]:
    """The handshakes that others began with this box."""
    return [each for each in evidence.overheard.handshakes if each.initiation and not each.out]


def _answered(call: Handshake, evidence: Evidence) -> bool:
    return any(
        each.out and not each.initiation and each.there == call.there and each.here == call.here
        for each in evidence.overheard.handshakes
    )


def _off(ahead: float) -> str:
    """How one clock stands to another, so that `this box's` may follow."""
    size = abs(ahead)
    text = f"{size:.0f} s" if size < 600 else f"{size / 3600:.1f} h" if size < 172800 else f"{size / 86400:.0f} days"
    return f"{text} {'ahead of' if ahead > 0 else 'behind'}" if size >= 30 else "now as"


def times(number: int, what: str) -> str:
    """`2 handshakes`, `no answers`."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
