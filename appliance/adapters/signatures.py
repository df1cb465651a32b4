"""Ed25519 (RFC 8032) through `cryptography`: keys in encrypted PEM (PKCS 8) or as OpenSSH writes them."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.adapters.errors import Refused


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the 64 bytes are this key's signature of the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class SigningKey:
    """A private key in memory, for as long as it takes to sign."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def new(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, content: bytes, passphrase: bytes | None) -> SigningKey:
        """From PEM or OpenSSH's format. Raises Refused; NeedsPassphrase where one is missing."""
        openssh = content.lstrip().startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
        load = s.load_ssh_private_key if openssh else s.load_pem_private_key
        try:
            private = load(content, passphrase)
        except TypeError:
            if passphrase is None:
                raise NeedsPassphrase("the key is encrypted; it needs its passphrase") from None
            return cls.load(content, None)
        except (ValueError, UnsupportedAlgorithm) as error:
            if passphrase is None and "encrypted" in str(error):
                raise NeedsPassphrase("the key is encrypted; it needs its passphrase") from None
            wrong = "the passphrase is wrong, or " if passphrase else ""
            raise Refused(f"{wrong}this is no private key that can be read") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise Refused("this is no ed25519 key; make one: appliance bundle keygen, or ssh-keygen -t ed25519")
        return cls(private)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def pem(self, passphrase: bytes | None) -> bytes:
        """PKCS 8 in PEM, encrypted where there is a passphrase."""
        encryption = s.BestAvailableEncryption(passphrase) if passphrase else s.NoEncryption()
        return self._private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption)

    @property
    def public_line(self) -> str:
        """ssh-ed25519 AAAA..., without a comment."""
        return self._private.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH).decode()


class NeedsPassphrase(Refused):
    """The key cannot be read without one."""
