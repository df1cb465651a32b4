"""Updates the system: asks RAUC, remembers what is on trial, and finds out after a boot what became of it."""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.adapters import rauc
from appliance.adapters.download import download
from appliance.adapters.errors import Refused as Refused
from appliance.adapters.files import write_whole
from appliance.core import updates
from appliance.core.updates import CONFIRMED, INTERRUPTED, WENT_BACK, BootChoice, Record, Verdict
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
    with alone(paths):
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
    with alone(paths):
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


@contextlib.contextmanager
def alone(paths: Paths) -> Iterator[None]:
    """Nobody else installs meanwhile: two would write each other's record. Raises Refused."""
    try:
        paths.update_lock.parent.mkdir(parents=True, exist_ok=True)
        lock = paths.update_lock.open("w")
    except OSError as error:
        raise Refused(f"{paths.update_lock} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another update is being installed at this moment; `appliance update status`") from None
        yield


def _put(bundle: Path, progress: Callable[[str], None]) -> None:
    try:
        rauc.install(bundle.resolve(), progress)
    except Refused as error:
        raise Refused(updates.not_installed(str(error))) from None


def roll_back(paths: Paths, works: Works) -> Record:
    """Makes the other system the next to boot, on trial. Raises Refused where there is none that is good."""
    slot = updates.other(booted(paths))
    choice = _boot_choice(paths)
    if slot not in choice.good | choice.tried_out:
        raise Refused(f"there is no system to go back to: system {slot} is empty, or was given up")
    record = _on_trial(slot, _version(paths, slot, slots(rauc.status()).get(slot, {})) or "before", works)
    with alone(paths):
        _write(paths, record)
        rauc.mark("active", "other")
        return _written(paths, record)


def settle(paths: Paths, prove: Callable[[Record], tuple[str, ...]]) -> str:
    """After a boot: confirms the system that runs, and says what became of an update. `prove` says what is missing.

    Raises Refused when the system is on trial and something is missing; what, the record keeps.
    """
    record, mine, choice = last(paths), booted(paths), BootChoice()
    with contextlib.suppress(Refused):  # what RAUC will say, too
        choice = _boot_choice(paths)
    match updates.verdict(record, mine, choice):
        case Verdict.PROVE:
            if missing := prove(record):
                why = "; ".join(missing)
                # Still pending: it is over when the other system runs.
                _write(paths, updates.noted(record, why))
                raise Refused(why)
            record = updates.ended(record, CONFIRMED, "", time.time())
            return updates.sentence(record) + _confirmed(paths, record)
        case Verdict.BACK:
            with contextlib.suppress(Refused):
                rauc.mark("bad", "other")
            rauc.mark("good", "booted")
            record = updates.ended(record, WENT_BACK, updates.NEVER_CAME_UP, time.time())
        case Verdict.INTERRUPTED:
            rauc.mark("good", "booted")
            record = updates.ended(record, INTERRUPTED, "", time.time())
        case Verdict.STRAYED:
            rauc.mark("good", "booted")
            again = not record.strayed and not paths.no_data.exists()
            record = updates.strayed(record)
            # First of all, and on the disk, or the two would take turns for ever.
            _write(paths, record)
            if again:
                rauc.mark("active", "other")
                restart()
                return f"system {choice.first} was confirmed, and did not come up in three starts: it gets three more"
            return updates.sentence(record) or f"system {mine}, version {__version__}"
        case Verdict.NOTHING:
            rauc.mark("good", "booted")
            if record.strayed and choice.first == mine:
                with contextlib.suppress(Refused):  # a full disk: one more try for it the next time, too
                    _write(paths, updates.arrived(record))
            return f"system {mine}, version {__version__}"
    _write(paths, record)
    return updates.sentence(record)


def _confirmed(paths: Paths, record: Record) -> str:
    """The system that runs stays; what is to be said besides. A full disk is no reason to give it up."""
    said = ""
    try:
        # Before RAUC is told: what was confirmed is not to be asked again by a later boot.
        _write(paths, record)
    except Refused as error:
        said = f"; asked again after the next start, since {error}"
    rauc.mark("good", "booted")
    return said


def described(paths: Paths) -> dict[str, Any]:
    """For `update status`. Raises Refused."""
    mine, said = booted(paths), rauc.status()
    choice = _boot_choice(paths)
    found = []
    for name, slot in sorted(slots(said).items()):
        found.append(
            {
                "system": name,
                "runs": name == mine,
                "next": name == choice.following,
                "good": name in choice.good,
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


def _boot_choice(paths: Paths) -> BootChoice:
    """Raises Refused."""
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
