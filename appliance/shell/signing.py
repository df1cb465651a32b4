"""What `appliance bundle` does with keys: making, signing, verifying, sealing. Runs on any laptop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from appliance.adapters import age
from appliance.adapters.errors import Refused
from appliance.adapters.signatures import NeedsPassphrase, SigningKey, verify
from appliance.core.bundle import sealed
from appliance.core.bundle.envelope import Envelope, Signature
from appliance.core.values import fingerprint

__all__ = ["Refused", "new_key", "seal", "sign", "verify"]


def new_key(passphrase: bytes | None) -> tuple[bytes, str]:
    """The private key in PEM, encrypted where there is a passphrase, and the public one as ssh-ed25519 AAAA...."""
    key = SigningKey.new()
    return key.pem(passphrase), key.public_line


def sign(envelope: Envelope, key: bytes, passphrase: Callable[[], bytes]) -> tuple[Envelope, str]:
    """The envelope with one more signature, and the key's fingerprint. `passphrase` is asked where it is needed.

    Raises Refused where the key cannot be read.
    """
    try:
        private = SigningKey.load(key, None)
    except NeedsPassphrase:
        private = SigningKey.load(key, passphrase())
    name = fingerprint(private.public_line)
    return envelope.with_signature(Signature(name, private.sign(envelope.signed_bytes))), name


def seal(secrets: Mapping[str, str], recipients: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The secrets sealed to each box. Raises ValueError for what is no secret, Refused where age does not seal."""
    closed = sealed.closed(secrets)
    return {box: age.seal(closed, to) for box, to in recipients.items()}
