"""Private keys and secrets on the box: made here, mode 0600, read at the moment of use, never on a command line.

A key NAME is two files: NAME.key, and NAME.pub beside it, so that telling a tunnel's public key needs no arithmetic
and no privilege.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import logging
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.core.secret_text import LONGEST, is_secret

log = logging.getLogger("appliance.keys")

KEY_BYTES = 32


def digest(raw: bytes) -> str:
    """What stands for a secret wherever the secret itself must not stand."""
    return hashlib.sha256(b"appliance secret\0" + raw).hexdigest()[:24]


def secret_digest(text: str) -> str:
    """The digest of a secret's text, as SecretDigests.texts has it."""
    return digest(text.encode())


class SecretDigests(NamedTuple):
    """Digests by name: `preshared` of keys as their bytes, `texts` of all secrets, passwords too, as their text."""

    preshared: dict[str, str]
    texts: dict[str, str]


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

    def made(self) -> dict[str, float]:
        """When the file of each private key was written, by name, in seconds since 1970."""
        found = {}
        for path in self.keys.glob("*.key"):
            with contextlib.suppress(OSError):
                found[path.stem] = path.stat().st_mtime
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

    def private_texts(self, names: Iterable[str]) -> dict[str, str]:
        """Private keys as text, for the partner of a pair; made first where there are none."""
        return {name: base64.b64encode(self.private_key(name)).decode() for name in names}

    def take_private(self, keys: Mapping[str, str]) -> None:
        """Makes these the private keys of those names. Raises Refused; what is no key changes nothing."""
        for name, text in keys.items():
            path = self.keys / f"{_plain(name)}.key"
            raw = _decoded(text.encode(), path)
            if _same(path, raw):
                continue
            self.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The public half first away: half done, it is made again from whichever key stands.
            (self.keys / f"{name}.pub").unlink(missing_ok=True)
            write_whole(path, base64.b64encode(raw) + b"\n", 0o600)
            self.private_key(name)

    def secret_texts(self, names: Iterable[str]) -> dict[str, str]:
        """Preshared keys and passwords, for the partner of a pair; those that are not here are left out."""
        found = {}
        for name in names:
            with contextlib.suppress(Refused):
                found[name] = self.password(name)
        return found

    def take_secrets(self, secrets: Mapping[str, str]) -> None:
        """Makes these the secrets of those names. Raises Refused."""
        for name, text in secrets.items():
            path = self.secrets / _plain(name)
            if not is_secret(text):
                raise Refused(f"the secret {name} is not {LONGEST}")
            if _text(path) != text:
                self.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_whole(path, text.encode() + b"\n", 0o600)

    def files(self, keys: Iterable[str], secrets: Iterable[str]) -> list[Path]:
        """Where these lie, or would. Raises Refused for what is no name."""
        halves = [self.keys / f"{_plain(name)}.{half}" for name in keys for half in ("key", "pub")]
        return [*halves, *(self.secrets / _plain(name) for name in secrets)]

    def digests(self) -> SecretDigests:
        """Of every secret on the box, each file read once; unreadable ones are left out."""
        preshared, texts = {}, {}
        for path in sorted(self.secrets.glob("*")) if self.secrets.is_dir() else ():
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                with contextlib.suppress(Refused):
                    preshared[path.name] = digest(_decoded(content, path))
                if (text := _line(content)) is not None:
                    texts[path.name] = secret_digest(text)
        return SecretDigests(preshared, texts)

    def password(self, name: str) -> str:
        """The text of a secret, without the line's end. Raises Refused."""
        path = self.secrets / _plain(name)
        text = _text(path)
        if text is None:
            raise Refused(f"{path} holds no password; write it there (mode 0600), in one line of {LONGEST}")
        return text

    def preshared_key(self, name: str) -> bytes:
        """The 32 bytes of a preshared key."""
        path = self.secrets / name
        try:
            return _decoded(path.read_bytes(), path)
        except FileNotFoundError:
            raise Refused(f"the secret {name} is not on this box; write it to {path} (mode 0600)") from None


def _text(path: Path) -> str | None:
    """The line of a secret's file, None where there is none."""
    try:
        return _line(path.read_bytes())
    except OSError:
        return None


def _line(content: bytes) -> str | None:
    """The secret in a file's content, None where it is none."""
    try:
        text = content.decode().strip("\r\n")
    except UnicodeDecodeError:
        return None
    return text if is_secret(text) else None


def _plain(name: str) -> str:
    """A name that stays in its folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise Refused(f"{name!r} is no name of a key")
    return name


def _same(path: Path, raw: bytes) -> bool:
    try:
        return _decoded(path.read_bytes(), path) == raw
    except (OSError, Refused):
        return False


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
