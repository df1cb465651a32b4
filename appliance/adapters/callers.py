"""Who calls: a handshake's initiation, opened with the box's own private key as the engine does (whitepaper, section
5.4.2), which tells the caller's public key and the time that its clock says, and no secret.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
_IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
_TAI64 = 1 << 62
_LEAP_SECONDS = 10
"""What WireGuard adds to the time of day to make TAI64N (section 5.1); good to half a minute, which is enough here."""


class Caller(NamedTuple):
    """`clock` in seconds since 1970."""

    public_key: bytes
    clock: float


def opened(initiation: bytes, private: bytes) -> Caller | None:
    """`initiation` is the message up to mac1 (116 bytes); None where it was not made for this private key."""
    own = X25519PrivateKey.from_private_bytes(private)
    ephemeral, static, timestamp = initiation[8:40], initiation[40:88], initiation[88:116]
    chain = _hash(_CONSTRUCTION)
    transcript = _hash(_hash(_hash(chain + _IDENTIFIER) + own.public_key().public_bytes_raw()) + ephemeral)
    chain = _kdf(chain, ephemeral)[0]
    try:
        chain, key = _kdf(chain, own.exchange(X25519PublicKey.from_public_bytes(ephemeral)))
        caller = ChaCha20Poly1305(key).decrypt(bytes(12), static, transcript)
        transcript = _hash(transcript + static)
        _, key = _kdf(chain, own.exchange(X25519PublicKey.from_public_bytes(caller)))
        time = ChaCha20Poly1305(key).decrypt(bytes(12), timestamp, transcript)
    except (InvalidTag, ValueError):
        return None
    seconds = int.from_bytes(time[:8]) - _TAI64 - _LEAP_SECONDS
    return Caller(caller, seconds + int.from_bytes(time[8:12]) / 1e9)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def _kdf(key: bytes, data: bytes) -> tuple[bytes, bytes]:
    """KDF2 of section 5.4 (RFC 5869 with BLAKE2s); its first half is KDF1."""
    secret = hmac.digest(key, data, "blake2s")
    first = hmac.digest(secret, b"\x01", "blake2s")
    return first, hmac.digest(secret, first + b"\x02", "blake2s")
