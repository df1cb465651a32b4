"""Enrolment of a pair: the one-time code, where the two boxes find each other, and what passes between them.

The boxes know nothing of each other but the code that a person carries from one screen to the other keyboard. Its
first group names the invitation and is no secret: both derive from it the link-local address at which the inviting
box waits, on the network of `failover.pair_link`, so that the other needs no address of its own. The rest is the
password of a PAKE (SPAKE2, RFC 9382): who listens learns nothing that could be tried out at home, and who guesses
has three attempts at one in a hundred million.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from appliance.core.secret_text import is_secret
from appliance.core.values import NAME

ENROLMENT_PORT = 51817
"""TCP port at the address of an invitation; open only while there is that address."""
ENROLMENT_NETWORK = "fe80::a881:0:0/96"
"""Link-local addresses of invitations; the firewall lets the port in at these only."""
MINUTES = 10
ATTEMPTS = 3
VERSION = 1

_CODE = re.compile(r"([0-9]{3})-?([0-9]{4})-?([0-9]{4})\Z")
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=\Z")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Code:
    """`name` is the first group, three digits; `password` the eight that are secret."""

    name: str
    password: str

    def __str__(self) -> str:
        return f"{self.name}-{self.password[:4]}-{self.password[4:]}"

    @property
    def address(self) -> str:
        """Where the inviting box waits; needs the interface beside it, as every link-local address."""
        return f"fe80::a881:0:{int(self.name, 10):x}"


def new_code(below: Callable[[int], int]) -> Code:
    """A code that nobody has seen. `below(n)` draws a number from 0 to n - 1 that nobody can guess."""
    return Code(f"{below(1000):03}", f"{below(10**8):08}")


def read_code(text: str) -> Code | None:
    """The code that a person typed, with or without its dashes; None when it is none."""
    found = _CODE.match("".join(text.split()))
    return Code(found[1], found[2] + found[3]) if found else None


@dataclass(frozen=True, slots=True)
class Joining:
    """What the joining box says of itself: the public key of its end of the pair link."""

    pair_key: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the inviting box gives: both boxes' names, its public key, what is shared by both, and the file.

    `keys` and `secrets` map names to WireGuard keys as text; a secret may be a provider's password.
    """

    site: str
    box: str
    inviter: str
    pair_key: str
    keys: dict[str, str]
    secrets: dict[str, str]
    file: str


def sound(message: Joining | Welcome) -> bool:
    """Whether every part is what it should be; a message that is not comes from another version, or a broken box."""
    if not _KEY.match(message.pair_key):
        return False
    if isinstance(message, Joining):
        return True
    named = all(_FILE_NAME.match(name) for name in (*message.keys, *message.secrets))
    keyed = all(_KEY.match(text) for text in message.keys.values()) and all(map(is_secret, message.secrets.values()))
    boxes = all(re.fullmatch(NAME, name) for name in (message.site, message.box, message.inviter))
    return named and keyed and boxes and message.box != message.inviter
