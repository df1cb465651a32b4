"""Keys for a peer's own device, made where the command runs: on a box or on a laptop without wireguard-tools.

Never for the box itself: its keys are made by adapters/keys.py and the supervisor loads no OpenSSL.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both halves as WireGuard writes keys: 44 characters of base64."""

    private: str = field(repr=False)
    public: str


def new_pair() -> KeyPair:
    key = X25519PrivateKey.generate()
    return KeyPair(_text(key.private_bytes_raw()), _text(key.public_key().public_bytes_raw()))


def new_preshared_key() -> str:
    return _text(os.urandom(32))


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
