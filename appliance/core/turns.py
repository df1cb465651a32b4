"""One update for both boxes of a pair, one after the other: whose turn it is, and when to stop. Pure.

    the backup of the beginning ("first")          the master of the beginning
    NEW ─► PREPARED: written beside what runs      NEW ─► PREPARED
    RESTARTING: on trial ─► CONFIRMED
                                                   hands over, and sees the first one do its work
                                                   RESTARTING ─► CONFIRMED

Each box has its own side of it on its disk, does its own part, and asks for the other's. Whatever goes wrong makes a
side FAILED; from then on nobody begins anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum, auto
from typing import Any

from appliance.core.updates import CONFIRMED as STAYED
from appliance.core.updates import Record

NEW = "new"
PREPARED = "prepared"
RESTARTING = "restarting"
CONFIRMED = "confirmed"
FAILED = "failed"

PATIENCE_SECONDS = 2700.0
"""A box that fails three tries of ten minutes each, and comes back, took less."""


@dataclass(frozen=True, slots=True)
class Side:
    """One box's side, as it lies on its disk.

    `first`: it was the backup when it began; `source`: the update was brought to it. `works` is what worked when this
    box was master still (the supervisor's answer), `proved`: the other one was seen to do that. `boot` is the boot in
    which it was told to restart; `administrator` the address and port of whoever began, on his box only. `over`:
    nothing more happens here. `theirs` and `theirs_why` are what was heard of the other side last. `at`: seconds
    since 1970. `why` is what one says of the box: "went back to 0.1.0: ...".
    """

    id: str
    version: str
    box: str
    partner: str
    first: bool
    source: bool
    stand: str = NEW
    why: str = ""
    works: Mapping[str, Any] | None = None
    proved: bool = False
    boot: str = ""
    administrator: tuple[str, int] | None = None
    over: bool = False
    theirs: str = NEW
    theirs_why: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the other box says of its side."""

    stand: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The pair, at this moment: the other one is `heard`, says that it is `master`, or that it could be (`ready`);
    this box is `muted` when it is not master itself."""

    heard: bool = False
    master: bool = False
    ready: bool = False
    muted: bool = True


def packed(side: Side) -> bytes:
    return json.dumps(asdict(side), indent=1).encode() + b"\n"


def unpacked(raw: bytes) -> Side | None:
    """None where it cannot be read. What another version wrote besides is left out."""
    try:
        data = json.loads(raw)
        side = Side(**{each.name: data[each.name] for each in fields(Side) if each.name in data})
        by = side.administrator
        return replace(side, administrator=(str(by[0]), int(by[1])) if by else None)
    except (ValueError, TypeError, IndexError, KeyError):
        return None


def told(answer: Mapping[str, Any], mine: Side) -> Told:
    """The other box's answer. One that knows of no such update will never finish it."""
    if answer.get("id") != mine.id:
        return Told(FAILED, "knows nothing of it any more")
    return Told(str(answer.get("stand", NEW)), str(answer.get("why", "")))


def opposite(side: Side) -> Side:
    """The side that the other box begins with."""
    return Side(
        side.id, side.version, box=side.partner, partner=side.box, first=not side.first, source=False, at=side.at
    )


# -- the rule ----------------------------------------------------------------------------------------------------------


class Act(Enum):
    """What a box does next."""

    WAIT = auto()
    PREPARE = auto()
    """Get it, and write it beside what runs, so that it does not boot yet."""
    HAND_OVER = auto()
    """Note what works, and ask the other one to be master."""
    PROVE = auto()
    """Ask the other one, now master, for what worked here; where it is missing, the role comes back, and it is over."""
    RESTART = auto()
    LOOK = auto()
    """What became of this box's own trial."""
    GIVE_UP = auto()
    END = auto()


def act(mine: Side, theirs: Told | None, seen: Seen, waited: float) -> Act:
    """`theirs` is None where the other box does not answer; `waited` seconds nothing has changed on either side."""
    other = theirs.stand if theirs else ""
    if mine.stand == RESTARTING:
        return Act.LOOK
    if FAILED in (mine.stand, other) or mine.stand == other == CONFIRMED:
        return Act.END
    if waited > PATIENCE_SECONDS:
        return Act.GIVE_UP
    if mine.stand == NEW:
        return Act.PREPARE
    due = mine.stand == PREPARED and other == (PREPARED if mine.first else CONFIRMED)
    if not due or not seen.heard:
        return Act.WAIT
    if not seen.muted:
        return Act.HAND_OVER if seen.ready else Act.WAIT
    # Both are backup for a moment, while the role moves.
    if not seen.master:
        return Act.WAIT
    return Act.RESTART if mine.first or mine.proved else Act.PROVE


def gave_up(mine: Side) -> Side:
    """The side of a box that has waited long enough. A box that is through with its own part keeps it."""
    if mine.stand == CONFIRMED:
        return replace(mine, over=True)
    return failed(mine, f"gave up: nothing was heard of {mine.partner} for {PATIENCE_SECONDS / 60:.0f} minutes")


def looked(mine: Side, record: Record) -> Side:
    """The side after the restart, from what is known of the trial; the same while that still runs."""
    if record.turn != mine.id:
        return failed(mine, "was interrupted before it restarted")
    if record.pending:
        return mine
    if record.outcome == STAYED:
        return replace(mine, stand=CONFIRMED)
    return failed(mine, f"went back to {record.before}: {record.why or 'it was interrupted'}")


def failed(mine: Side, why: str) -> Side:
    return replace(mine, stand=FAILED, why=why)


# -- in words ----------------------------------------------------------------------------------------------------------

_MEANWHILE = {
    NEW: "is being given it",
    PREPARED: "has it in reserve",
    RESTARTING: "restarts into it, on trial",
    CONFIRMED: "runs it, confirmed",
}
_AFTERWARDS = {
    NEW: "was not changed",
    PREPARED: "was not changed",
    RESTARTING: "was restarting when it was heard of last",
    CONFIRMED: "runs it, confirmed",
}


def sentence(side: Side) -> str:
    """How far both are, or which box did what."""
    if side.stand == side.theirs == CONFIRMED:
        return f"both boxes run version {side.version}, confirmed"
    stopped = side.over or FAILED in (side.stand, side.theirs)
    words = _AFTERWARDS if stopped else _MEANWHILE
    both = sorted([(side.box, side.stand, side.why), (side.partner, side.theirs, side.theirs_why)])
    said = "; ".join(f"{box} {why or words.get(stand, stand)}" for box, stand, why in both)
    if stopped:
        return f"the update of both boxes to version {side.version} stopped: {said}"
    return f"both boxes are updated to version {side.version}, one after the other: {said}"
