"""A conversation between two boxes that share nothing but a short code: SPAKE2, then sealed messages.

Lines of JSON over TCP. The two PAKE messages are the only ones in clear; the keys of both directions come from the
PAKE's key and both of these messages (HKDF, RFC 5869), every later message is sealed with ChaCha20-Poly1305
(RFC 8439), its place in the conversation being the nonce. Loaded by the command only: the supervisor goes without
OpenSSL.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B

MAXIMUM_BYTES = 8 << 20
GREETING_BYTES = 4096
SECONDS = 20.0


class Broken(Exception):
    """The conversation ended before its end; the text says how."""


class WrongCode(Exception):
    """The other side does not know the code."""


class Channel:
    """One side of a conversation. `greet` first, then `send` and `receive` in turn."""

    def __init__(self, connection: socket.socket, version: int, name: str, password: str, inviting: bool) -> None:
        self.connection = connection
        self.stream = connection.makefile("rb")
        self.head = {"appliance": version, "invitation": name}
        self.inviting = inviting
        side = SPAKE2_B if inviting else SPAKE2_A
        self.pake = side(password.encode(), idA=b"joining", idB=b"inviting")
        self.sent = self.received = 0
        connection.settimeout(SECONDS)

    def hear_greeting(self) -> dict[str, Any]:
        """The joining side's first message. Raises Broken."""
        return self._greeting(self._line(GREETING_BYTES))

    def greet(self, heard: dict[str, Any] | None = None) -> None:
        """Exchanges the PAKE's messages; `heard` is the other's where it came first. Raises Broken, WrongCode."""
        own = self.pake.start()
        self._write({**self.head, "pake": base64.b64encode(own).decode()})
        message = heard or self.hear_greeting()
        try:
            other = base64.b64decode(str(message["pake"]), validate=True)
            key = self.pake.finish(other)
        except Exception:
            # A stranger's bytes in a library whose exceptions have no common name: whatever it says, it is a refusal.
            raise WrongCode("the other box does not take part as it should") from None
        first, second = (other, own) if self.inviting else (own, other)
        salt = hashlib.sha256(first + b"\0" + second).digest()
        joining, inviting = (ChaCha20Poly1305(_derived(key, salt, way)) for way in (b"joining", b"inviting"))
        self.sealing, self.opening = (inviting, joining) if self.inviting else (joining, inviting)

    def send(self, message: dict[str, Any]) -> None:
        """Raises Broken."""
        text = json.dumps(message).encode()
        sealed = self.sealing.encrypt(self.sent.to_bytes(12), text, None)
        self.sent += 1
        self._write({"sealed": base64.b64encode(sealed).decode()})

    def receive(self) -> dict[str, Any]:
        """Raises Broken; WrongCode when the message was not sealed by somebody who knows the code."""
        line = self._line(MAXIMUM_BYTES)
        try:
            sealed = base64.b64decode(str(json.loads(line)["sealed"]), validate=True)
            text = self.opening.decrypt(self.received.to_bytes(12), sealed, None)
            found = json.loads(text)
        except InvalidTag:
            raise WrongCode("the code is not the one that the other box shows") from None
        except (ValueError, KeyError, TypeError):
            raise Broken("the other box said something that is not understood") from None
        self.received += 1
        return dict(found)

    def _greeting(self, line: bytes) -> dict[str, Any]:
        try:
            message = dict(json.loads(line))
        except (ValueError, TypeError):
            raise Broken("whoever answered is no appliance") from None
        if {key: message.get(key) for key in self.head} != self.head:
            raise Broken("the other box runs another version; update it first")
        return message

    def _line(self, most: int) -> bytes:
        try:
            line = self.stream.readline(most)
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise Broken("the connection to the other box ended")
        return line

    def _write(self, message: dict[str, Any]) -> None:
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise Broken("the connection to the other box ended") from None


def _derived(key: bytes, salt: bytes, way: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"appliance enrolment " + way).derive(key)
