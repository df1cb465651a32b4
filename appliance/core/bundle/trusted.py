"""What a box knows about bundles: whom it trusts, and the highest serial that it saw. One file, written before a bundle
is applied, so that neither a roll-back nor a power cut lets an older one in again.

`trust:` of a configuration that a person applied on the box begins it; from then on a bundle that enough of the
trusted keys signed replaces it, whatever becomes of its configuration: a key that was taken away stays away.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from appliance.core.codec import from_json, to_json
from appliance.core.state import Trust


@dataclass(frozen=True, slots=True)
class Trusted:
    """`serial` and `digest` are those of the last bundle that was believed; `seen` when it was issued (since 1970)."""

    site: str
    trust: Trust
    serial: int = 0
    digest: str = ""
    seen: float = 0.0


class Damaged(Exception):
    """The bytes are not what was written."""


def packed(trusted: Trusted) -> bytes:
    text = json.dumps(to_json(trusted), sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n".encode()


def unpacked(raw: bytes) -> Trusted:
    """Raises Damaged."""
    try:
        digest, text, _ = raw.decode().split("\n")
        if hashlib.sha256(text.encode()).hexdigest() == digest:
            return from_json(Trusted, json.loads(text))
    except (ValueError, KeyError, TypeError):
        pass
    raise Damaged("what is known of bundles is damaged")


def by_hand(before: Trusted | None, site: str, trust: Trust | None) -> Trusted | None:
    """After a person, root on the box, confirmed a configuration. None: nobody is trusted, or ever was.

    Where nobody is trusted any more the serial stays, for the day when somebody is again.
    """
    if before is None or before.site != site:
        return Trusted(site, trust) if trust else None
    return replace(before, trust=trust or Trust(1, {}))


def newer(ours: Trusted | None, theirs: Trusted) -> Trusted:
    """Of what the two boxes of a pair know: no serial is forgotten."""
    if ours is None or ours.site != theirs.site or theirs.serial > ours.serial:
        return theirs
    return ours
