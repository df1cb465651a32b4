"""Whether a box believes a bundle. The rules are those of TUF (https://theupdateframework.github.io/specification/),
sized for one file: k of n keys, a serial that only rises, an expiry, and trust that only the trusted may change.

The order is the point: no word of the payload is read before enough signatures hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.core.bundle import envelope as envelopes
from appliance.core.bundle import payload as payloads
from appliance.core.bundle.envelope import Envelope
from appliance.core.bundle.payload import Payload
from appliance.core.bundle.refusals import (
    BadConfiguration,
    Expired,
    NobodyTrusted,
    NotYetValid,
    OldSerial,
    OtherBox,
    OtherSite,
    SerialUsedTwice,
    TooFewSignatures,
    TrustRemoved,
    WrongSignature,
)
from appliance.core.bundle.times import shown_time
from appliance.core.bundle.trusted import Trusted
from appliance.core.desired import compile_box
from appliance.core.problems import ConfigurationError
from appliance.core.state import Desired, Trust
from appliance.core.values import ed25519_bytes, fingerprint

EARLY_SECONDS = 600.0
"""A bundle may have been issued so far in the future: laptops' clocks differ."""

type Verify = Callable[[bytes, bytes, bytes], bool]
"""Ed25519: public key, message, signature (adapters/signatures.py)."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since 1970. `floor`: it is at least so late, whatever the clock says."""

    wall: float
    floor: float = 0.0
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Believed:
    """`trusted` is to be on disk before anything is done about the rest; `needs` are the secrets that it names."""

    payload: Payload
    digest: str
    signers: tuple[str, ...]
    trusted: Trusted
    needs: tuple[str, ...]


def believe(content: bytes, known: Trusted | None, box: str, clock: Clock, verify: Verify) -> Believed:
    """What the bytes say, when this box may believe them. Raises a Refusal."""
    envelope = envelopes.read(content)
    if known is None or not known.trust.keys:
        raise NobodyTrusted(
            "this box trusts nobody's signature: write `trust:` into appliance.yaml, and apply it here once"
        )
    names = signers(envelope, known.trust, verify)
    payload = payloads.read(envelope.payload)
    digest = hashlib.sha256(envelope.signed_bytes).hexdigest()
    _for_us(payload, known, box)
    _serial(payload, digest, known)
    _time(payload, known, clock)
    wanted = _configuration(payload, box)
    trust = wanted.trust
    if trust is None:
        raise TrustRemoved("its configuration has no `trust:`; no bundle could ever follow it, so write it")
    needs = {peer.preshared_key for tunnel in wanted.tunnels for peer in tunnel.peers if peer.preshared_key}
    needs |= {session.password for session in wanted.sessions}
    after = replace(known, trust=trust, serial=payload.serial, digest=digest, seen=max(known.seen, payload.issued))
    return Believed(payload, digest, names, after, tuple(sorted(needs)))


def signers(envelope: Envelope, trust: Trust, verify: Verify) -> tuple[str, ...]:
    """The names of those who signed. Raises WrongSignature or TooFewSignatures."""
    owners = {fingerprint(line): (name, ed25519_bytes(line)) for name, line in trust.keys.items()}
    names, strangers = [], []
    for signature in envelope.signatures:
        if signature.key not in owners:
            strangers.append(signature.key)
            continue
        name, public = owners[signature.key]
        if not verify(public, envelope.signed_bytes, signature.value):
            raise WrongSignature(f"the signature of {name} does not belong to this payload; somebody changed it")
        names.append(name)
    if len(names) < trust.threshold:
        signed = f"signed by {', '.join(names)}" if names else "signed by nobody who is trusted here"
        unknown = f"; not known here: {', '.join(strangers)}" if strangers else ""
        wanted = f"{trust.threshold} of {', '.join(trust.keys)}"
        raise TooFewSignatures(f"it is {signed}{unknown}; wanted: {wanted}")
    return tuple(names)


def _for_us(payload: Payload, known: Trusted, box: str) -> None:
    if payload.site != known.site:
        raise OtherSite(f"it is for the site {payload.site}; this is {known.site}")
    if box not in payload.boxes:
        raise OtherBox(f"it is for {' and '.join(payload.boxes)}; this is {box}")


def _serial(payload: Payload, digest: str, known: Trusted) -> None:
    if payload.serial < known.serial:
        raise OldSerial(f"its serial is {payload.serial}; this site has seen {known.serial} already")
    if payload.serial == known.serial and digest != known.digest:
        raise SerialUsedTwice(f"another bundle had the serial {payload.serial} already; give each its own")


def _time(payload: Payload, known: Trusted, clock: Clock) -> None:
    latest = max(clock.wall, clock.floor, known.seen)
    if payload.expires <= latest:
        raise Expired(f"it expired at {shown_time(payload.expires)}; here it is {shown_time(latest)} or later")
    if payload.issued > clock.wall + EARLY_SECONDS:
        hint = "" if clock.trusted else "; the clock here is not synchronised: see `chronyc tracking`"
        raise NotYetValid(
            f"it was issued at {shown_time(payload.issued)}; here it is {shown_time(clock.wall)} only{hint}"
        )


def _configuration(payload: Payload, box: str) -> Desired:
    try:
        wanted = compile_box(payload.configuration.encode(), box)
    except ConfigurationError as error:
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        raise BadConfiguration(f"{error.problems[0].line('configuration')}{more}") from None
    if wanted.site != payload.site:
        raise BadConfiguration(f"its configuration is for the site {wanted.site}, the bundle for {payload.site}")
    return wanted
