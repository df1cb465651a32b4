"""Generations: configurations that were applied, with their numbers, as they lie on disk, and what became of them.

A generation is one file: a line of JSON that says what it is, and below it the bytes of appliance.yaml as they came.
The line carries a digest of itself and of all that follows, so that a torn file or one flipped bit is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from appliance.core.versions import order

SCHEMA = 1
KEPT = 20
"""Confirmed generations that are kept to go back to."""
REMEMBERED = 100
"""Ends of trials that the history holds."""

CONFIRMED = "confirmed"
ROLLED_BACK = "rolled back"
REFUSED = "refused"


class Damaged(Exception):
    """The bytes are not what was written; the text says in what way."""


class Newer(Damaged):
    """A newer system than the one that reads wrote the bytes."""


@dataclass(frozen=True, slots=True)
class Generation:
    """`applied` is in seconds since 1970; `boot` names the boot (boot_id, random(4)) during which it was applied.

    `trial` tells trials of the same number apart; both boxes of a pair have the same.
    """

    number: int
    content: bytes
    origin: str = ""
    applied: float = 0.0
    boot: str = ""
    within: float = 0.0
    """Seconds after which the trial ends by itself."""
    trial: str = ""
    system: str = ""
    """The version of this software that ran it."""

    @property
    def digest(self) -> str:
        """Names the bytes, as status and bundles do."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a trial, in the history. `ended` and `applied` are in seconds since 1970."""

    number: int
    digest: str
    origin: str
    applied: float
    ended: float
    outcome: str
    why: str = ""


def packed(generation: Generation) -> bytes:
    """The file of a generation."""
    head = {key: value for key, value in asdict(generation).items() if key != "content"} | {"schema": SCHEMA}
    return _sealed(head, generation.content)


def unpacked(raw: bytes, system: str | None = None) -> Generation:
    """The generation in a file. Raises Damaged; Newer when a version after `system` made it (None: whoever did)."""
    head, content = _opened(raw)
    theirs = str(head.get("system", ""))
    if head.get("schema") != SCHEMA or (system is not None and order(theirs) > order(system)):
        raise Newer(f"version {theirs} made it")
    try:
        return Generation(
            number=int(head["number"]),
            content=content,
            origin=str(head["origin"]),
            applied=float(head["applied"]),
            boot=str(head["boot"]),
            within=float(head["within"]),
            trial=str(head["trial"]),
            system=theirs,
        )
    except (KeyError, TypeError, ValueError):
        raise Damaged("its first line lacks something") from None


def packed_history(endings: Iterable[Ending]) -> bytes:
    """The file of the history; the oldest endings are left out."""
    lines = [json.dumps(asdict(ending), separators=(",", ":")) for ending in list(endings)[-REMEMBERED:]]
    return _sealed({"schema": SCHEMA}, "".join(f"{line}\n" for line in lines).encode())


def unpacked_history(raw: bytes) -> tuple[Ending, ...]:
    """The endings in the file of the history, oldest first. Raises Damaged."""
    _, content = _opened(raw)
    try:
        return tuple(Ending(**json.loads(line)) for line in content.splitlines())
    except (TypeError, ValueError):
        raise Damaged("a line of it says something unknown") from None


def _sealed(head: dict[str, object], content: bytes) -> bytes:
    return json.dumps(head | {"sha256": _checksum(head, content)}).encode() + b"\n" + content


def _opened(raw: bytes) -> tuple[dict[str, Any], bytes]:
    line, newline, content = raw.partition(b"\n")
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not newline or not isinstance(head, dict):
        raise Damaged("its first line is not readable")
    checksum = head.pop("sha256", None)
    if checksum != _checksum(head, content):
        raise Damaged("its checksum does not fit")
    return head, content


def _checksum(head: dict[str, object], content: bytes) -> str:
    text = json.dumps(head, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode() + b"\n" + content).hexdigest()
