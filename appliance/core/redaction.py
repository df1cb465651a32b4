"""Takes secrets out of text that leaves the box.

Twice: whatever this box keeps secret, in every form in which it may stand; and whatever looks like a secret, also one
that this box no longer has, or never had.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

SHORTEST = 8
"""Characters. What is shorter is no key, and as a word it would be cut out of everything."""

_LONG = re.compile(rf"\S{{{SHORTEST},}}")
_KEY = r"(?:[A-Za-z0-9+/]{43}=|[0-9a-fA-F]{64})"
_BEFORE_KEY = r"(?:private|preshared|secret)[ _-]?key[\"']?\s*[:=]\s*[\"']?"
_LOOKS_SECRET = (
    # wg(8), wg-quick(8), and the userspace engines' interface, which writes keys in hex.
    (re.compile(rf"({_BEFORE_KEY}){_KEY}", re.IGNORECASE), r"\1[redacted: a key]"),
    # PEM (RFC 7468) and OpenSSH's own. Of one without an end what can be its body, and not the rest of the text.
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
            r"(?:(?:(?!-----BEGIN ).){0,20000}?-----END [A-Z ]*PRIVATE KEY-----|(?:[A-Za-z0-9+/=\\]{16,}|\s)*)",
            re.DOTALL,
        ),
        "[redacted: a private key]",
    ),
    (re.compile(r"AGE-SECRET-KEY-[0-9A-Z-]{20,}", re.IGNORECASE), "[redacted: an age identity]"),
    # crypt(5): $METHOD$PARAMETERS$SALT$HASH.
    (re.compile(r"\$[0-9a-z]{1,4}\$[./A-Za-z0-9$=,+-]{20,}"), "[redacted: a password's hash]"),
    # RFC 3986, section 3.2.1.
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), r"\1[redacted: a password]@"),
)


class Redactor:
    """`secrets` are pairs of the name to show and the content of the file that holds the secret."""

    def __init__(self, secrets: Iterable[tuple[str, bytes]]) -> None:
        self.starts: dict[str, dict[str, str]] = {}
        """Every form of every secret with the name to show, by its first characters."""
        self.phrases: list[tuple[re.Pattern[str], str]] = []
        """Passwords as people make them: of a few characters, or of several words. Only where they stand alone."""
        for name, content in secrets:
            phrase = content.decode(errors="replace").strip()
            if phrase and "\n" not in phrase and (len(phrase) < SHORTEST or " " in phrase):
                whole = re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)")
                # A backslash is none of `sub`.
                self.phrases.append((whole, f"[redacted: {name}]".replace("\\", r"\\")))
            for form in forms(content):
                self.starts.setdefault(form[:SHORTEST], {})[form] = name

    def clean(self, text: str) -> str:
        """The text, with a word in brackets where a secret stood."""
        for phrase, instead in self.phrases:
            text = phrase.sub(instead, text)
        text = _LONG.sub(lambda word: self._word(word[0]), text)
        for pattern, instead in _LOOKS_SECRET:
            text = pattern.sub(instead, text)
        return text

    def _word(self, word: str) -> str:
        shown: list[str] = []
        done = place = 0
        while place <= len(word) - SHORTEST:
            # One look into a table at each place: a box of 1,000 peers has 10,000 forms, and its journal millions.
            candidates = self.starts.get(word[place : place + SHORTEST], {})
            found = max((form for form in candidates if word.startswith(form, place)), key=len, default="")
            if not found:
                place += 1
                continue
            shown += [word[done:place], f"[redacted: {candidates[found]}]"]
            place += len(found)
            # What filled up a base64 form.
            place = done = place + len(word[place:]) - len(word[place:].lstrip("="))
        return "".join([*shown, word[done:]])


def forms(content: bytes) -> frozenset[str]:
    """In which forms a secret could stand in a text: as it is written, and in base64 or hex, as are the bytes that it
    stands for. Without the = at the end of base64 (RFC 4648)."""
    found: set[str] = set()
    for token in _tokens(content.decode(errors="replace")):
        found |= {token.rstrip("="), *_encoded(token.encode()), *_encoded(f"{token}\n".encode())}
        if raw := _decoded(token):
            found |= _encoded(raw)
    found |= _encoded(content)
    return frozenset(form for form in found if len(form) >= SHORTEST)


def _tokens(text: str) -> Iterator[str]:
    """The words of the file; what stands behind a colon (NAME:HASH); and the body of a PEM file in one."""
    lines = [line.strip() for line in text.splitlines()]
    # Comments: age-keygen writes the public half into one.
    lines = [line for line in lines if line and not line.startswith(("#", "-----"))]
    yield from (word for line in lines for word in line.split())
    yield from (line.partition(":")[2] for line in lines if ":" in line)
    yield "".join(lines)


def _encoded(raw: bytes) -> set[str]:
    standard = base64.b64encode(raw).decode().rstrip("=")
    return {standard, standard.translate(str.maketrans("+/", "-_")), raw.hex(), raw.hex().upper()}


def _decoded(token: str) -> bytes:
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
        try:
            return decode(token)
        except (ValueError, binascii.Error):
            continue
    return b""
