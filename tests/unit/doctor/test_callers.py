"""Who calls: the box opens the handshake of a peer that does what the whitepaper says (section 5.4.2)."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.adapters.callers import opened
from tests.lab.handshake import initiation

BOX, PEER = (X25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
NOW = 1_795_500_000


def public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def call() -> bytes:
    """What the doctor looks at: the message up to mac1."""
    ours, theirs = (base64.b64encode(key).decode() for key in (PEER.private_bytes_raw(), public(BOX)))
    return initiation(ours, theirs, NOW)[:116]


def test_the_callers_key_and_clock() -> None:
    caller = opened(call(), BOX.private_bytes_raw())
    assert caller and caller.public_key == public(PEER) and caller.clock == NOW


def test_what_was_made_for_another_key_or_is_noise_says_nothing() -> None:
    assert opened(call(), PEER.private_bytes_raw()) is None
    assert opened(bytes(116), BOX.private_bytes_raw()) is None
    assert opened(b"\x01", BOX.private_bytes_raw()) is None
