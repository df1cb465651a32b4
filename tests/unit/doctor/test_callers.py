"""Who calls: the box opens the handshake of a peer that does what the whitepaper says (section 5.4.2)."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from appliance.adapters.callers import opened

BOX, PEER, EPHEMERAL = (X25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))
NOW = 1_795_500_000


def public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def digest(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def initiation(seconds: int) -> bytes:
    chain = digest(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    transcript = digest(digest(chain + b"WireGuard v1 zx2c4 Jason@zx2c4.com") + public(BOX))
    transcript = digest(transcript + public(EPHEMERAL))
    chain = hmac.digest(hmac.digest(chain, public(EPHEMERAL), "blake2s"), b"\x01", "blake2s")
    sealed = b""
    time = ((1 << 62) + 10 + seconds).to_bytes(8) + bytes(4)
    for ours, content in ((EPHEMERAL, public(PEER)), (PEER, time)):
        secret = hmac.digest(chain, ours.exchange(BOX.public_key()), "blake2s")
        chain = hmac.digest(secret, b"\x01", "blake2s")
        box = ChaCha20Poly1305(hmac.digest(secret, chain + b"\x02", "blake2s")).encrypt(bytes(12), content, transcript)
        transcript = digest(transcript + box)
        sealed += box
    return b"\x01\0\0\0" + bytes(4) + public(EPHEMERAL) + sealed


def test_the_callers_key_and_clock() -> None:
    caller = opened(initiation(NOW), BOX.private_bytes_raw())
    assert caller and caller.public_key == public(PEER) and caller.clock == NOW


def test_what_was_made_for_another_key_or_is_noise_says_nothing() -> None:
    assert opened(initiation(NOW), PEER.private_bytes_raw()) is None
    assert opened(bytes(116), BOX.private_bytes_raw()) is None
    assert opened(b"\x01", BOX.private_bytes_raw()) is None
