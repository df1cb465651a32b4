"""An update of both boxes of a pair: this box's side on disk, and what it does when it is its turn (core/turns.py).

`carry_on` is the unit appliance-update.service, on both boxes, from the beginning to the end and through restarts.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.adapters import pair_stream, systemd
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.core import turns, updates
from appliance.core.pair.names import PROTOCOL_PORT
from appliance.core.turns import Act, Seen, Side, Told
from appliance.shell import updating
from appliance.shell.paths import Paths

UNIT = "appliance-update.service"
LOOK_SECONDS = 2.0
ASK_SECONDS = 10.0
PROVE_SECONDS = 60.0

type Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Asks this box's supervisor. Raises Refused where it does not answer, or says no."""
type Say = Callable[[str], None]


def read(paths: Paths) -> Side | None:
    """This box's side of the last update of both, None where there was none."""
    try:
        return turns.unpacked(paths.turn.read_bytes())
    except OSError:
        return None


def write(paths: Paths, side: Side) -> Side:
    write_whole(paths.turn, turns.packed(side), 0o600)
    return side


def understood(offer: object) -> Side | None:
    """A side that the other box sent."""
    return turns.unpacked(str(offer).encode())


def forget(paths: Paths) -> None:
    """There is no such update."""
    paths.turn.unlink(missing_ok=True)
    paths.turn_bundle.unlink(missing_ok=True)


def begin(paths: Paths, side: Side) -> None:
    """This box takes part. Raises Refused."""
    if not side.source:
        paths.turn_bundle.unlink(missing_ok=True)
    write(paths, side)


def start(paths: Paths, bundle: Path, pair: Mapping[str, Any], administrator: tuple[str, int] | None) -> Side:
    """Has both boxes updated, of which this one has the update. Raises Refused; then nothing has changed.

    `pair` is what the supervisor says of it: box, partner, own, address (in the pair link), muted.
    """
    version = updating.examined(bundle)
    with updating.alone(paths):
        return _started(paths, bundle, version, pair, administrator)


def _started(
    paths: Paths, bundle: Path, version: str, pair: Mapping[str, Any], administrator: tuple[str, int] | None
) -> Side:
    running = read(paths)
    if running and not running.over:
        raise Refused(f"{turns.sentence(running)}; end that first: appliance update stop")
    _keep(paths, bundle)
    side = Side(
        secrets.token_hex(8),
        version,
        str(pair["box"]),
        str(pair["partner"]),
        first=bool(pair["muted"]),
        source=True,
        administrator=administrator,
        at=time.time(),
    )
    write(paths, side)
    offer = {"do": "offer", "side": turns.packed(turns.opposite(side)).decode()}
    try:
        answer = _partner(pair, offer)
        if "error" in answer:
            raise Refused(f"{side.partner}: {answer['error']}; nothing was changed")
        systemd.start_later(UNIT)
    except Refused:
        forget(paths)
        raise
    return side


def _keep(paths: Paths, bundle: Path) -> None:
    """A stick may be gone when the other box asks."""
    paths.turn_bundle.unlink(missing_ok=True)
    free = shutil.disk_usage(paths.state).free - updating.ROOM_BYTES
    if bundle.stat().st_size > free:
        raise Refused(f"{paths.state} has no room for an update; remove something there")
    try:
        shutil.copyfile(bundle, paths.turn_bundle)
    except OSError as error:
        paths.turn_bundle.unlink(missing_ok=True)
        raise Refused(f"{bundle} cannot be read: {error.strerror}") from None


def needless(paths: Paths, bundle: Path) -> str:
    """Why an update that nobody asked for is left alone, "" when it is not. Raises Refused where it is not believed."""
    version = updating.examined(bundle)
    side = read(paths)
    if side and side.version == version and not went_well(paths):
        return sentence(paths)
    return updates.needless(version, __version__, updating.last(paths))


def stop(paths: Paths, who: str) -> Side:
    """A person has had enough. Raises Refused where nothing can be stopped."""
    side = read(paths)
    if side is None or side.over:
        raise Refused("no update of both boxes is under way")
    if side.stand == turns.RESTARTING:
        raise Refused(f"{side.box} is on trial just now, which ends by itself; then ask again")
    return write(paths, turns.failed(side, f"was told by {who} to stop"))


# -- the unit ----------------------------------------------------------------------------------------------------------


def carry_on(paths: Paths, ask: Ask, say: Say) -> str:
    """Does this box's part until the update is over; returns how it ended, "" where there is nothing to do."""
    side = read(paths)
    if side is None or side.over:
        return ""
    changed, before = time.monotonic(), (side.stand, side.theirs)
    shown = ""
    while True:
        side = read(paths) or side  # a person may have stopped it
        pair = _pair(ask)
        theirs = _theirs(pair, side)
        if theirs and (theirs.stand, theirs.why) != (side.theirs, side.theirs_why):
            side = write(paths, replace(side, theirs=theirs.stand, theirs_why=theirs.why))
        if (side.stand, side.theirs) != before:
            changed, before = time.monotonic(), (side.stand, side.theirs)
        if side.source and side.theirs != turns.NEW and side.stand != turns.NEW:
            paths.turn_bundle.unlink(missing_ok=True)
        if turns.sentence(side) != shown:
            shown = turns.sentence(side)
            say(shown)
        act = turns.act(side, theirs, _seen(pair), time.monotonic() - changed)
        if act == Act.END:
            paths.turn_bundle.unlink(missing_ok=True)
            return turns.sentence(write(paths, replace(side, over=True)))
        try:
            after = _done(act, side, paths, pair, ask, say)
        except Refused as error:
            after = turns.failed(side, f"could not go on: {error}")
        if after != side:
            write(paths, after)
        else:
            time.sleep(LOOK_SECONDS)


def _done(act: Act, side: Side, paths: Paths, pair: Mapping[str, Any], ask: Ask, say: Say) -> Side:
    """The side when it is done. Raises Refused with the reason why it cannot be."""
    match act:
        case Act.PREPARE:
            return _prepared(paths, side, pair, say)
        case Act.HAND_OVER | Act.RESTART if side.works is None:
            return _noted(side, ask, say)
        case Act.HAND_OVER:
            ask({"verb": "handover"})
            return side
        case Act.PROVE:
            return _proved(side, pair)
        case Act.RESTART:
            return _restarted(paths, side)
        case Act.LOOK:
            # Cut off before the restart was under way: it is asked for again.
            if side.boot == _boot(paths):
                return _restarted(paths, side)
            return turns.looked(side, updating.last(paths))
        case Act.GIVE_UP:
            return turns.gave_up(side)
        case _:
            return side


def _prepared(paths: Paths, side: Side, pair: Mapping[str, Any], say: Say) -> Side:
    if not side.source and not _fetched(paths, pair):
        return side  # asked again, from where it stopped
    try:
        version = updating.prepare(paths, paths.turn_bundle, say)
    except Refused as error:
        return turns.failed(side, f"could not take it: {error}")
    if version != side.version:
        return turns.failed(side, f"was sent version {version}")
    if not side.source:
        paths.turn_bundle.unlink(missing_ok=True)
    return replace(side, stand=turns.PREPARED)


def _fetched(paths: Paths, pair: Mapping[str, Any]) -> bool:
    """Whether the whole update is here now; False where the other box does not answer for the moment."""
    try:
        with paths.turn_bundle.open("ab") as file:
            while True:
                answer = _partner(pair, {"do": "part", "offset": file.tell()})
                if "error" in answer:
                    raise Refused(str(answer["error"]))
                size, data = int(answer["size"]), base64.b64decode(answer["data"])
                if size > updating.MOST_BYTES:
                    raise Refused("it is larger than an update may be")
                file.write(data)
                if file.tell() >= size or not data:
                    return file.tell() == size
    except _Silent:
        return False
    except OSError as error:
        raise Refused(f"{paths.turn_bundle} cannot be written: {error.strerror}") from None


def _proved(side: Side, pair: Mapping[str, Any]) -> Side:
    facts = side.works["facts"] if side.works else []
    try:
        request = {"do": "prove", "facts": facts, "seconds": PROVE_SECONDS}
        answer = _partner(pair, request, PROVE_SECONDS + ASK_SECONDS)
    except _Silent:
        return side
    if missing := answer.get("missing") or answer.get("error"):
        why = missing if isinstance(missing, str) else "; ".join(missing)
        return turns.failed(side, f"has the role again, since {side.partner} did not do its work: {why}")
    return replace(side, proved=True)


def _noted(side: Side, ask: Ask, say: Say) -> Side:
    """With what works now, and must after the restart. The same side while a configuration is on trial."""
    try:
        works = ask({"verb": "update", "administrator": side.administrator, "in_turn": True})
    except Refused as error:
        say(str(error))
        return side
    return replace(side, works={name: works[name] for name in ("facts", "differs", "configured", "muted")})


def _restarted(paths: Paths, side: Side) -> Side:
    """Only comes back where the box is not restarted. `side.works` is known."""
    works = side.works or {}
    side = write(paths, replace(side, stand=turns.RESTARTING, boot=_boot(paths)))
    updating.activate(paths, side.version, works, side.id)
    try:
        updating.restart()
    except Refused as error:
        updating.deactivate(paths, str(error))
        raise
    time.sleep(10 * ASK_SECONDS)  # systemd ends this process
    return side


def _pair(ask: Ask) -> Mapping[str, Any]:
    """What the supervisor says of the pair, {} while there is nothing to say."""
    with contextlib.suppress(Refused):
        return ask({"verb": "update", "pair": True}).get("pair") or {}
    return {}


def _seen(pair: Mapping[str, Any]) -> Seen:
    if not pair:
        return Seen()
    return Seen(bool(pair["heard"]), bool(pair["master"]), bool(pair["ready"]), bool(pair["muted"]))


def _theirs(pair: Mapping[str, Any], side: Side) -> Told | None:
    if not pair:
        return None
    try:
        return turns.told(_partner(pair, {"do": "side"}), side)
    except Refused:
        return None


class _Silent(Refused):
    """The other box does not answer."""


def _partner(pair: Mapping[str, Any], request: dict[str, Any], seconds: float = ASK_SECONDS) -> dict[str, Any]:
    """Asks the other box's supervisor, over the pair link."""
    if not pair:
        raise _Silent("the other box is not heard")
    own, address = str(pair["own"]), str(pair["address"])
    try:
        return asyncio.run(pair_stream.ask(own, address, PROTOCOL_PORT, {"verb": "update", **request}, seconds))
    except Refused as error:
        raise _Silent(str(error)) from None


def _boot(paths: Paths) -> str:
    """Which boot of the machine this is (boot_id, random(4))."""
    return (paths.root / "proc/sys/kernel/random/boot_id").read_text().strip()


def sentence(paths: Paths) -> str:
    """The last update in words, of both boxes or of this one, whichever began later; "" when there was none."""
    side, record = read(paths), updating.last(paths)
    if side and (record.turn == side.id or record.at <= side.at):
        return turns.sentence(side)
    return updates.sentence(record)


def went_well(paths: Paths) -> bool:
    """Whether the last update of both boxes ended with both confirmed."""
    side = read(paths)
    return side is not None and side.stand == side.theirs == turns.CONFIRMED


def shown(paths: Paths) -> dict[str, Any] | None:
    """This box's side for `update status --json`, None where there was none."""
    side = read(paths)
    if side is None:
        return None
    names = ("version", "box", "stand", "why", "partner", "theirs", "theirs_why", "over")
    return {name: getattr(side, name) for name in names}
