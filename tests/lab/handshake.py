"""The first message of a handshake, as a peer makes it that does what the whitepaper says (section 5.4.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

LEAP_SECONDS = 10


def initiation(private: str, box: str, clock: float) -> bytes:
    """By a peer with this private key, for the box with this public key (both base64), at this time of its clock."""
    peer = X25519PrivateKey.from_private_bytes(base64.b64decode(private))
    there = X25519PublicKey.from_public_bytes(base64.b64decode(box))
    ephemeral = X25519PrivateKey.generate()
    chain = _digest(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    transcript = _digest(_digest(chain + b"WireGuard v1 zx2c4 Jason@zx2c4.com") + there.public_bytes_raw())
    own = ephemeral.public_key().public_bytes_raw()
    transcript = _digest(transcript + own)
    chain = hmac.digest(hmac.digest(chain, own, "blake2s"), b"\x01", "blake2s")
    sealed = b""
    time = ((1 << 62) + LEAP_SECONDS + int(clock)).to_bytes(8) + bytes(4)
    for ours, content in ((ephemeral, peer.public_key().public_bytes_raw()), (peer, time)):
        secret = hmac.digest(chain, ours.exchange(there), "blake2s")
        chain = hmac.digest(secret, b"\x01", "blake2s")
        key = hmac.digest(secret, chain + b"\x02", "blake2s")
        part = ChaCha20Poly1305(key).encrypt(bytes(12), content, transcript)
        transcript = _digest(transcript + part)
        sealed += part
    message = b"\x01\0\0\0" + bytes(4) + own + sealed
    mac1 = hashlib.blake2s(message, key=_digest(b"mac1----" + there.public_bytes_raw()), digest_size=16)
    return message + mac1.digest() + bytes(16)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()
