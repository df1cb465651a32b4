"""The envelope: payload as text, its type, signatures. Anybody may send one, so it is read without a YAML parser.

The file is YAML for people and for their tools; a box reads the few lines in the one way in which they are written,
and refuses every other: what parses is, byte for byte, what `written` makes of it. So there are no aliases, no second
document, no key written twice, nothing behind the end, and no two readings of one file.

What is signed is the pre-authentication encoding of DSSE
(https://github.com/secure-systems-lab/dsse/blob/master/protocol.md) over the type and the exact bytes of the payload.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace

from appliance.core.bundle.refusals import NotABundle, NotText, OtherPayloadType, SameKeyTwice, TooLarge

CONFIGURATION = "application/vnd.appliance.configuration+yaml"
RECEIPT = "application/vnd.appliance.receipt+yaml"

MAXIMUM_BYTES = 5 * 1024 * 1024
"""A configuration of 4 MB, indented, with secrets beside it."""
MAXIMUM_SIGNATURES = 16

_HEAD = (
    "# Signed for an appliance. `appliance bundle show FILE` explains it; whoever changes it breaks the signatures.\n"
)
_VERSION = "appliance_bundle: 1\n"
_INDENT = "  "
_TYPE = re.compile(r"type: ([a-z0-9][a-z0-9.+/-]{0,99})\Z")
_KEY = re.compile(r"  - key: (SHA256:[A-Za-z0-9+/]{43})\Z")
_SIGNATURE = re.compile(r"    signature: ([A-Za-z0-9+/]{86}==)\Z")
_NO_TEXT = re.compile(
    "[^\\t\\n\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)
"""No character of YAML, or one that YAML 1.1 takes for the end of a line, or the byte order mark."""


@dataclass(frozen=True, slots=True)
class Signature:
    """`key` is the SHA-256 fingerprint as ssh-keygen -l writes it; `value` the 64 bytes of Ed25519 (RFC 8032)."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """`payload` ends with one newline."""

    type: str
    payload: str
    signatures: tuple[Signature, ...] = ()

    @property
    def signed_bytes(self) -> bytes:
        """What each signature is over (DSSE, PAE)."""
        kind, body = self.type.encode(), self.payload.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)

    def with_signature(self, signature: Signature) -> Envelope:
        """Signing again with the same key replaces."""
        others = tuple(each for each in self.signatures if each.key != signature.key)
        return replace(self, signatures=(*others, signature))


def written(envelope: Envelope) -> bytes:
    """The file. Raises ValueError for a payload that no box would read back."""
    if trouble := unfit(envelope.payload):
        raise ValueError(trouble)
    lines = [_HEAD, _VERSION, f"type: {envelope.type}\n"]
    lines.append("signatures:\n" if envelope.signatures else "signatures: []\n")
    for each in envelope.signatures:
        lines.append(f"  - key: {each.key}\n    signature: {base64.b64encode(each.value).decode()}\n")
    lines.append("payload: |\n")
    lines += [f"{_INDENT}{line}\n" if line else "\n" for line in envelope.payload[:-1].split("\n")]
    return "".join(lines).encode()


def unfit(payload: str) -> str:
    """Why the payload cannot be written as a literal block of YAML; "" when it can."""
    if not payload.endswith("\n") or payload.endswith("\n\n"):
        return "the payload must end with exactly one line end"
    if payload[0] in " \t\n":
        return "the payload must not begin with a blank"
    if found := _NO_TEXT.search(payload):
        line = payload.count("\n", 0, found.start()) + 1
        return f"line {line} of the payload has a character that YAML cannot carry (U+{ord(found[0]):04X})"
    return ""


def read(content: bytes, wanted: str = CONFIGURATION) -> Envelope:
    """The envelope in a file from anywhere. Raises a Refusal; nothing of the payload was looked at."""
    if len(content) > MAXIMUM_BYTES:
        raise TooLarge(f"the file is {len(content) / 1e6:.1f} MB long; a bundle is at most {MAXIMUM_BYTES >> 20} MB")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotText(f"byte {error.start + 1} of the file is not UTF-8; was it sent as text?") from None
    if found := _NO_TEXT.search(text):
        what = "ends of lines are CR LF" if found[0] == "\r" else f"U+{ord(found[0]):04X} stands in it"
        line = text.count("\n", 0, found.start()) + 1
        raise NotText(f"line {line}: {what}; copy the bundle as it is, byte for byte")
    envelope = _parsed(text)
    if envelope.type != wanted:
        raise OtherPayloadType(f"this is signed as {envelope.type}, not as {wanted}")
    keys = [each.key for each in envelope.signatures]
    if len(set(keys)) != len(keys):
        raise SameKeyTwice("one key has signed twice; it counts once: sign with another key")
    if unfit(envelope.payload) or written(envelope) != content:
        raise NotABundle("it is not as `appliance bundle create` writes it; make it again rather than edit it")
    return envelope


class _Lines:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.at = 0

    def next(self) -> str:
        line = self.lines[self.at] if self.at < len(self.lines) else ""
        self.at += 1
        return line

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.next())
        if not found:
            raise self.stop()
        return found[1]

    def stop(self) -> NotABundle:
        return NotABundle(f"line {self.at}: a bundle, as `appliance bundle create` writes it, goes on otherwise here")


def _parsed(text: str) -> Envelope:
    lines = _Lines(text)
    for wanted in (_HEAD, _VERSION):
        if lines.next() + "\n" != wanted:
            raise lines.stop()
    kind = lines.match(_TYPE)
    head = lines.next()
    if head not in ("signatures:", "signatures: []"):
        raise lines.stop()
    signatures: list[Signature] = []
    while head == "signatures:" and lines.at < len(lines.lines) and lines.lines[lines.at].startswith("  - key: "):
        if len(signatures) == MAXIMUM_SIGNATURES:
            raise NotABundle(f"it has more than {MAXIMUM_SIGNATURES} signatures")
        key = lines.match(_KEY)
        try:
            value = base64.b64decode(lines.match(_SIGNATURE), validate=True)
        except binascii.Error:
            raise lines.stop() from None
        signatures.append(Signature(key, value))
    if lines.next() != "payload: |":
        raise lines.stop()
    body: list[str] = []
    for line in lines.lines[lines.at : -1]:
        if line and not line.startswith(_INDENT):
            lines.at += len(body) + 1
            raise lines.stop()
        body.append(line[len(_INDENT) :])
    if lines.lines[-1] or not body or not body[0]:
        raise NotABundle("its end is missing; it was cut off on the way")
    return Envelope(kind, "\n".join(body) + "\n", tuple(signatures))
