"""Private keys and secrets on the box: made here, mode 0600, read at the moment of use, never on a command line.

A key NAME is two files: NAME.key, and NAME.pub beside it, so that telling a tunnel's public key needs no arithmetic
and no privilege.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import subprocess
from pathlib import Path

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole

log = logging.getLogger("appliance.keys")

KEY_BYTES = 32


def digest(raw: bytes) -> str:
    """What stands for a secret wherever the secret itself must not stand."""
    return hashlib.sha256(b"appliance secret\0" + raw).hexdigest()[:24]


class Keys:
    """The folders `keys` and `secrets` below the box's state folder."""

    def __init__(self, state: Path) -> None:
        self.keys = state / "keys"
        self.secrets = state / "secrets"

    def public_keys(self) -> dict[str, str]:
        """The public key of every key on the box, by name."""
        found = {}
        for path in sorted(self.keys.glob("*.pub")):
            try:
                content = path.read_bytes()
                _decoded(content, path)
                found[path.stem] = content.decode().strip()
            except (Refused, OSError) as error:
                log.warning("%s", error)
        return found

    def private_key(self, name: str) -> bytes:
        """The 32 bytes of a private key; made first when there is none (`wg genkey`)."""
        path = self.keys / f"{name}.key"
        if not path.exists():
            self.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, _wg("genkey", b""), 0o600)
        text = path.read_bytes()
        public = self.keys / f"{name}.pub"
        if not public.exists():
            write_whole(public, _wg("pubkey", text), 0o644)
        return _decoded(text, path)

    def secret_digests(self) -> dict[str, str]:
        """The digest of every preshared key on the box, by name; unreadable ones are left out."""
        found = {}
        for path in sorted(self.secrets.glob("*")) if self.secrets.is_dir() else ():
            try:
                found[path.name] = digest(_decoded(path.read_bytes(), path))
            except (Refused, OSError):
                continue
        return found

    def preshared_key(self, name: str) -> bytes:
        """The 32 bytes of a preshared key."""
        path = self.secrets / name
        try:
            return _decoded(path.read_bytes(), path)
        except FileNotFoundError:
            raise Refused(f"the secret {name} is not on this box; write it to {path} (mode 0600)") from None


def _decoded(text: bytes, path: Path) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise Refused(f"{path} does not hold a WireGuard key (44 characters that end in =)")
    return raw


def _wg(command: str, data: bytes) -> bytes:
    """A key made or turned public by wireguard-tools; the key goes through pipes only."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin")}
    try:
        done = subprocess.run(["wg", command], input=data, capture_output=True, timeout=10, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"wg {command} did not run: {error}") from None
    if done.returncode:
        raise Refused(f"wg {command} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
