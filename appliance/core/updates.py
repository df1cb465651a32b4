"""System updates: which bundle is refused and why, what a boot finds out about the last one, and in what words. Pure.

An update is on trial from the moment at which its bytes are about to be written until the system in that slot was
booted and has shown what worked before; or until the box has gone back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum, auto
from typing import Any

from appliance.core.versions import order

CONFIRMED = "confirmed"
WENT_BACK = "went back"
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of the last update; on disk, read by this system and by the other one.

    `pending` is the slot on trial (A or B), "" when it is over; `written`: that slot is whole and the next to boot.
    `facts` (core/proof.py, as JSON) must work in it again, `differs` was amiss before; `configured`: there was a
    configuration; `muted`: the box was the standby of a pair. `turn` is the update of both boxes that it belongs to
    (core/turns.py), "" for one of this box alone. `strayed` counts how often the system that was to run did not come
    up although it had been confirmed, and this box found itself in the other one. `at`: seconds since 1970.
    """

    pending: str = ""
    slot: str = ""
    version: str = ""
    before: str = ""
    written: bool = False
    facts: tuple[Any, ...] = ()
    differs: tuple[str, ...] = ()
    configured: bool = False
    muted: bool = False
    turn: str = ""
    outcome: str = ""
    why: str = ""
    strayed: int = 0
    at: float = 0.0


def packed(record: Record) -> bytes:
    return json.dumps(asdict(record), indent=1).encode() + b"\n"


def unpacked(raw: bytes) -> Record:
    """What is not known, of another system's record, is left out. A record that cannot be read is none."""
    try:
        data = json.loads(raw)
        known = {each.name: data[each.name] for each in fields(Record) if each.name in data}
        facts, differs = (tuple(known.get(name, ())) for name in ("facts", "differs"))
        return replace(Record(**known), facts=facts, differs=differs)
    except (ValueError, TypeError):
        return Record()


# -- before ----------------------------------------------------------------------------------------------------------


def refusal(bundle: Mapping[str, Any], system: str, version: str) -> str:
    """Why a bundle, believed already, is not for this system; "" when it is.

    `bundle` is what `rauc info` says of it; `system` the "compatible" of this one, `version` its version.
    """
    theirs = str(bundle.get("compatible", ""))
    offered = str(bundle.get("version") or "")
    if theirs != system:
        return f"the update is for {_kind(theirs)}, and this box is {_kind(system)}"
    if not order(offered):
        return f"the update's version {offered!r} is none (three numbers: 1.2.3)"
    if order(offered) < order(version):
        return (
            f"the update is version {offered}, older than the {version} that runs; "
            "the system before is back by `appliance update rollback`"
        )
    return ""


def needless(version: str, own: str, record: Record) -> str:
    """Why an update that nobody asked for is left alone, as a stick that was never pulled out again; "" when it is not.

    `version` is offered, `own` runs; `record` is the last update.
    """
    if order(version) == order(own):
        return f"version {version} runs already"
    if record.pending:
        return f"version {record.version} is on trial"
    if record.version == version and record.outcome == WENT_BACK:
        return f"version {version} was tried and given up; `appliance update` tries it again"
    if record.before == version and record.outcome == CONFIRMED:
        return f"version {version} was left by `appliance update rollback`; `appliance update` takes it again"
    return ""


def _kind(compatible: str) -> str:
    return compatible.removeprefix("appliance-") or "nothing"


def unbelieved(said: str) -> str:
    """Why RAUC does not believe a bundle, from its own words."""
    if "issuer certificate" in said or "self-signed certificate" in said:
        return "the update is signed by somebody whom this system does not know"
    if "certificate has expired" in said:
        return "the update's signature has run out: whoever made it must sign it again (or this box's clock is wrong)"
    if "certificate is not yet valid" in said:
        return "the update's signature is from the future: this box's clock is wrong"
    if "signature verification failed" in said:
        return "the update was changed or damaged: its signature does not fit"
    if "Invalid bundle format" in said or "bundle identifier" in said:
        return "this is no update, or only a part of one"
    if "not allowed" in said and "format" in said:
        return "the update is of a format that this system does not take (it must be verity)"
    last = said.strip().splitlines()[-1:] or ["it says nothing"]
    return f"the update cannot be read: {last[0]}"


def not_installed(said: str) -> str:
    """Why RAUC did not install a bundle that it believed, from its own words."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it says nothing"]
    error = next((line.partition("LastError: ")[2] for line in lines if "LastError: " in line), lines[-1])
    # The handler reads all of it (update-read-whole in image/files), and has no other reason to fail.
    if "pre-install handler" in error.lower():
        return "the update was changed or damaged: a part of it is not what was signed; nothing was written"
    return f"the update was not installed: {error}; the system that runs was not touched"


@dataclass(frozen=True, slots=True)
class BootChoice:
    """What GRUB makes of its environment block (image/grub.cfg).

    `first` is the system that is to run; `following` boots next, "" where GRUB has to take what is left; `good` is what
    it would boot, `tried_out` what it would not since it was started three times in a row and never confirmed.
    """

    first: str = ""
    following: str = ""
    good: frozenset[str] = frozenset()
    tried_out: frozenset[str] = frozenset()


def boot_choice(block: str) -> BootChoice:
    """From the block's text. RAUC calls a system good only when no try is counted; each boot counts one until it is
    confirmed."""
    pairs = (line.partition("=") for line in block.splitlines() if not line.startswith("#"))
    found = {name: value for name, _, value in pairs}
    whole = {name for name in "AB" if found.get(f"{name}_OK") == "1"}
    good = frozenset(name for name in whole if found.get(f"{name}_TRY", "0") in ("0", "1", "2"))
    order = [name for name in found.get("ORDER", "").split() if name in ("A", "B")]
    following = next((name for name in order if name in good), "")
    return BootChoice(order[0] if order else "", following, good, frozenset(whole - good))


# -- after a boot ----------------------------------------------------------------------------------------------------


class Verdict(Enum):
    """What a boot has to do about the last update."""

    NOTHING = auto()
    PROVE = auto()
    BACK = auto()
    """The system on trial was tried, and this is the other one again."""
    INTERRUPTED = auto()
    """It never was whole."""
    STRAYED = auto()
    """The system that is to run was confirmed once, and now started three times in vain."""


def verdict(record: Record, booted: str, choice: BootChoice) -> Verdict:
    """`booted` is the slot that runs now."""
    if not record.pending:
        astray = choice.first != booted and choice.first in choice.tried_out
        return Verdict.STRAYED if astray else Verdict.NOTHING
    if record.pending == booted:
        return Verdict.PROVE
    return Verdict.BACK if record.written else Verdict.INTERRUPTED


def written(record: Record) -> Record:
    """The record when the slot is whole and boots next."""
    return replace(record, written=True)


def noted(record: Record, why: str) -> Record:
    """The record of a system that is about to give way, with its reason."""
    return replace(record, why=why)


def strayed(record: Record) -> Record:
    """The record when the box found itself in the other system than the one that is to run.

    That one gets three more tries where it was the first time: a power cut in each of three starts is no fault of the
    system, and the other one may be a year older.
    """
    return replace(record, strayed=record.strayed + 1)


def arrived(record: Record) -> Record:
    """The record when the system that was to run does."""
    return replace(record, strayed=0)


def ended(record: Record, outcome: str, why: str, at: float) -> Record:
    """The record when the trial is over. A reason that the system on trial left behind is the better one."""
    return replace(record, pending="", facts=(), differs=(), outcome=outcome, why=record.why or why, at=at)


DID_NOT_START = (
    "later it was started six times and did not come up (a damaged disk, or the power went each time), so the system "
    "before runs; `appliance update rollback` tries it again"
)
NEVER_CAME_UP = (
    "it did not come up: its kernel stopped or hung, or the power was cut each time, or nothing in it answered"
)


def sentence(record: Record) -> str:
    """The last update in words, "" when there was none."""
    if record.pending:
        if not record.written:
            return f"version {record.version} is being installed into system {record.slot}"
        return f"version {record.version} (system {record.slot}) runs on trial after the next restart"
    match record.outcome:
        case "confirmed":
            later = f"; {DID_NOT_START}" if record.strayed > 1 else ""
            return f"version {record.version} (system {record.slot}) was confirmed: what worked before works{later}"
        case "went back":
            return f"version {record.version} was given up, and {record.before} runs again: {record.why}"
        case "interrupted":
            return f"version {record.version} was not installed: it was interrupted; nothing else has changed"
        case _:
            return ""


def other(slot: str) -> str:
    return "B" if slot == "A" else "A"
