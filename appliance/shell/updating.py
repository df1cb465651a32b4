"""Updates the system: asks RAUC, remembers what is on trial, and finds out after a boot what became of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.adapters import rauc
from appliance.adapters.download import download
from appliance.adapters.errors import Refused as Refused
from appliance.adapters.files import write_whole
from appliance.core import updates
from appliance.core.updates import CONFIRMED, INTERRUPTED, WENT_BACK, Record, Verdict
from appliance.shell.paths import Paths

MOST_BYTES = 400 << 20
"""A slot has 384 MB; the rest is dm-verity's tree and the signature."""
ROOM_BYTES = 16 << 20
"""What a download leaves free of /data."""

type Works = Mapping[str, Any]
"""The supervisor's answer: facts, differs, configured, muted."""


def last(paths: Paths) -> Record:
    """What is known of the last update."""
    try:
        return updates.unpacked(paths.update.read_bytes())
    except OSError:
        return Record()


def booted(paths: Paths) -> str:
    """The slot that runs, A or B. Raises Refused on a machine that has no two."""
    line = paths.root / "proc/cmdline"
    found = re.search(r"\brauc\.slot=([AB])\b", line.read_text() if line.exists() else "")
    if not found:
        raise Refused("this system was not started from the image's disk, so there is no other one to update")
    return found[1]


def fetched(paths: Paths, url: str) -> Path:
    """Where the update from an address lies now. Raises Refused."""
    place = paths.state / "update.raucb"
    place.unlink(missing_ok=True)
    free = shutil.disk_usage(paths.state).free - ROOM_BYTES
    if free <= ROOM_BYTES:
        raise Refused(f"{paths.state} has no room for an update; remove something there, or bring it on a stick")
    try:
        download(url, place, min(MOST_BYTES, free))
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return place


def examined(bundle: Path) -> str:
    """The version of an update that may be installed here. Raises Refused with the reason why it may not."""
    if not bundle.is_file():
        raise Refused(f"{bundle} does not exist, or is no file")
    compatible = str(rauc.status()["compatible"])
    try:
        said = rauc.info(bundle)
    except Refused as error:
        raise Refused(updates.unbelieved(str(error))) from None
    if reason := updates.refusal(said, compatible, __version__):
        raise Refused(reason)
    return str(said["version"])


def install(paths: Paths, bundle: Path, works: Works, progress: Callable[[str], None]) -> Record:
    """Installs an update into the other slot, which boots next, on trial. Raises Refused; then what runs stays."""
    slot = updates.other(booted(paths))
    version = examined(bundle)
    record = _on_trial(slot, version, works)
    # Before the first byte: no power cut leaves a new system that boots and is not on trial.
    _write(paths, record)
    try:
        _put(bundle, progress)
        rauc.mark("active", "other")
    except Refused as error:
        _write(paths, updates.ended(record, INTERRUPTED, str(error), time.time()))
        raise
    return _written(paths, record)


def prepare(paths: Paths, bundle: Path, progress: Callable[[str], None]) -> str:
    """Writes an update into the other slot, which does not boot yet; its version. Raises Refused; what runs stays."""
    booted(paths)
    version = examined(bundle)
    _put(bundle, progress)
    return version


def activate(paths: Paths, version: str, works: Works, turn: str) -> None:
    """What was prepared boots next, on trial. Raises Refused; then it does not."""
    record = _on_trial(updates.other(booted(paths)), version, works, turn)
    _write(paths, record)
    try:
        rauc.mark("active", "other")
    except Refused as error:
        _write(paths, updates.ended(record, INTERRUPTED, str(error), time.time()))
        raise
    _written(paths, record)


def deactivate(paths: Paths, why: str) -> None:
    """What was to boot next does not."""
    with contextlib.suppress(Refused):
        rauc.mark("bad", "other")
    _write(paths, updates.ended(last(paths), INTERRUPTED, why, time.time()))


def _put(bundle: Path, progress: Callable[[str], None]) -> None:
    try:
        rauc.install(bundle.resolve(), progress)
    except Refused as error:
        raise Refused(updates.not_installed(str(error))) from None


def roll_back(paths: Paths, works: Works) -> Record:
    """Makes the other system the next to boot, on trial. Raises Refused where there is none that is good."""
    slot = updates.other(booted(paths))
    if slot not in _boot_choice(paths)[1]:
        raise Refused(f"there is no system to go back to: system {slot} is empty, or was given up")
    record = _on_trial(slot, _version(paths, slot, slots(rauc.status()).get(slot, {})) or "before", works)
    _write(paths, record)
    rauc.mark("active", "other")
    return _written(paths, record)


def settle(paths: Paths, prove: Callable[[Record], tuple[str, ...]]) -> str:
    """After a boot: confirms the system that runs, and says what became of an update. `prove` says what is missing.

    Raises Refused when the system is on trial and something is missing; what, the record keeps.
    """
    record = last(paths)
    match updates.verdict(record, booted(paths)):
        case Verdict.PROVE:
            if missing := prove(record):
                why = "; ".join(missing)
                # Still pending: it is over when the other system runs.
                _write(paths, updates.noted(record, why))
                raise Refused(why)
            rauc.mark("good", "booted")
            record = updates.ended(record, CONFIRMED, "", time.time())
        case Verdict.BACK:
            with contextlib.suppress(Refused):
                rauc.mark("bad", "other")
            rauc.mark("good", "booted")
            record = updates.ended(record, WENT_BACK, updates.NEVER_CAME_UP, time.time())
        case Verdict.INTERRUPTED:
            rauc.mark("good", "booted")
            record = updates.ended(record, INTERRUPTED, "", time.time())
        case Verdict.NOTHING:
            rauc.mark("good", "booted")
            return f"system {booted(paths)}, version {__version__}"
    _write(paths, record)
    return updates.sentence(record)


def described(paths: Paths) -> dict[str, Any]:
    """For `update status`. Raises Refused."""
    mine, said = booted(paths), rauc.status()
    following, good = _boot_choice(paths)
    found = []
    for name, slot in sorted(slots(said).items()):
        found.append(
            {
                "system": name,
                "runs": name == mine,
                "next": name == following,
                "good": name in good,
                "version": __version__ if name == mine else _version(paths, name, slot),
            }
        )
    return {"systems": found, "last": updates.sentence(last(paths)), "outcome": last(paths).outcome}


def slots(said: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """RAUC's slots by their boot name."""
    every = {name: slot for each in said.get("slots", ()) for name, slot in each.items()}
    return {str(slot["bootname"]): {**slot, "name": name} for name, slot in every.items() if slot.get("bootname")}


def restart() -> None:
    """Raises Refused when systemd does not."""
    if subprocess.run(["systemctl", "reboot"], check=False).returncode:
        raise Refused("systemd does not restart the box; pull its plug")


def _version(paths: Paths, name: str, slot: Mapping[str, Any]) -> str:
    """Of the system that does not run: RAUC knows what it installed, the record what ran before."""
    bundle = slot.get("slot_status", {}).get("bundle", {})
    record = last(paths)
    return str(bundle.get("version") or (record.before if record.slot and record.slot != name else ""))


def _boot_choice(paths: Paths) -> tuple[str, frozenset[str]]:
    """Which system boots next, and which would. Raises Refused."""
    try:
        return updates.boot_choice(paths.boot_choice.read_text(errors="replace"))
    except OSError as error:
        raise Refused(f"the boot choice cannot be read: {paths.boot_choice}: {error.strerror}") from None


def _on_trial(slot: str, version: str, works: Works, turn: str = "") -> Record:
    return Record(
        pending=slot,
        slot=slot,
        version=version,
        before=__version__,
        facts=tuple(works["facts"]),
        differs=tuple(works["differs"]),
        configured=bool(works["configured"]),
        muted=bool(works["muted"]),
        turn=turn,
        at=time.time(),
    )


def _written(paths: Paths, record: Record) -> Record:
    record = updates.written(record)
    _write(paths, record)
    return record


def _write(paths: Paths, record: Record) -> None:
    write_whole(paths.update, updates.packed(record), 0o600)
