"""Updates the whole system: installs FILE, or what lies at an https address, beside the one that runs.
It must be signed, for this kind of box, and not older than what runs. After the next restart it is on trial: when what
worked before works again (gateways, peers that are called, the other box, the way by which you are connected now), it
stays. Otherwise, also when its kernel does not come up, the box returns to the system before, and to the configuration
that ran on it.

  appliance update FILE|URL    installs; --restart restarts at once
  appliance update status      both systems, and what became of the last update
  appliance update rollback    the system before runs after the next restart, on trial as well

In a pair that is well, FILE|URL on either box updates both and restarts them: first the backup; when it is confirmed,
it becomes master and must do what the other one did; then that one. It stops at the first failure; `update status`,
on both, says which box did what. The command may be left alone meanwhile (Ctrl-C, a closed connection).

  appliance update stop        begins nothing more; what is confirmed stays
  --alone                      only this box, which must be the backup
  --force                      although the supervisor does not answer: nobody can say what works, and the new system
                               must only come up

Exit code 0: done; 1: not, and why.

example:
  sudo appliance update --restart appliance-0.2.0-amd64.raucb"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from appliance.cli import session
from appliance.cli.client import SilentSupervisor, ask
from appliance.cli.failure import Failure
from appliance.core.updates import Record
from appliance.shell import turns, updating
from appliance.shell.paths import Paths

NOTHING_IS_KNOWN: dict[str, Any] = {"facts": [], "differs": [], "configured": False, "muted": False}
PATIENCE_SECONDS = 60.0
"""A supervisor that is silent for so long is not just being started."""
PROOF_SECONDS = 180.0
ASK_AGAIN_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="FILE|URL|status|rollback|stop", help="a file of these names: ./status")
    parser.add_argument("--alone", action="store_true", help="only this box of a pair")
    parser.add_argument("--force", action="store_true", help="although the supervisor does not answer")
    parser.add_argument("--restart", action="store_true", help="restart into it when it is installed")
    # A stick was plugged in.
    parser.add_argument("--unattended", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="status for programs")


def run(options: argparse.Namespace) -> int:
    paths = Paths(options.root)
    if os.geteuid():
        raise Failure("only root may do this; put sudo before it")
    try:
        match options.what:
            case "status":
                _status(
                    options, {**updating.described(paths), "last": turns.sentence(paths), "both": turns.shown(paths)}
                )
            case "rollback":
                _next(options, updating.roll_back(paths, _works(options)))
            case "stop":
                print(turns.stop(paths, session.caller()).why)
            # What appliance-update.service runs.
            case "carry-on":
                print(turns.carry_on(paths, lambda request: _asked(options, request), _say))
            # What the image's health unit runs after each boot.
            case "settle":
                print(updating.settle(paths, lambda record: _missing(options, record)))
            case what:
                _install(options, paths, what)
    except updating.Refused as error:
        raise Failure(str(error)) from None
    return 0


def _install(options: argparse.Namespace, paths: Paths, what: str) -> None:
    updating.booted(paths)
    if options.unattended and (why := turns.needless(paths, Path(what))):
        print(why)
        return
    pair, works = _before(options)
    is_url = "://" in what
    bundle = updating.fetched(paths, what) if is_url else Path(what)
    try:
        if pair:
            turns.start(paths, bundle, pair, session.administrator())
        else:
            record = updating.install(paths, bundle, works, _progress)
    finally:
        if is_url:
            bundle.unlink(missing_ok=True)
    if pair and options.unattended:
        print(turns.sentence(paths))
    elif pair:
        _follow(paths)
    else:
        _next(options, record)


def _before(options: argparse.Namespace) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The pair, when both boxes are to be updated; otherwise what works here. Raises Failure."""
    end = time.monotonic() + (PATIENCE_SECONDS if options.unattended else 0.0)
    while True:
        try:
            pair = _pair(options)
            return pair, {} if pair else _works(options)
        except SilentSupervisor as error:
            # An update may be what mends it; and who brings a stick has nobody to ask.
            if options.force or (options.unattended and time.monotonic() >= end):
                return None, NOTHING_IS_KNOWN
            if not options.unattended:
                raise Failure(f"{error}; for an update that is to mend that: --force") from None
        time.sleep(ASK_AGAIN_SECONDS)


def _pair(options: argparse.Namespace) -> dict[str, Any] | None:
    """The pair, when both boxes are to be updated. Raises Failure where it is not well enough."""
    pair = ask(options, {"verb": "update", "pair": True})["pair"]
    if not pair or options.alone:
        return None
    if not pair["heard"]:
        print(f"{pair['partner']} is not heard, so only this box is updated", file=sys.stderr)
        return None
    standby, able = (pair["box"], pair["able"]) if pair["muted"] else (pair["partner"], pair["ready"])
    if not able:
        raise Failure(f"{standby} could not take over now (appliance status says why); mend that first, or use --alone")
    return dict(pair)


def _follow(paths: Paths) -> None:
    """Shows how far both are, until it is over or this box restarts. Raises Failure where it stopped."""
    shown = ""
    while True:
        said = turns.sentence(paths)
        if said != shown:
            print(said, flush=True)
            shown = said
        side = turns.read(paths)
        if side is None or side.over:
            break
        time.sleep(ASK_AGAIN_SECONDS)
    if not turns.went_well(paths):
        raise Failure("see `appliance update status`, and `journalctl -u appliance-update` on both boxes")


def _asked(options: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return ask(options, request)
    except Failure as error:
        raise updating.Refused(str(error)) from None


def _say(line: str) -> None:
    """For the journal: not every hundredth."""
    if "%" not in line or line.startswith("100%"):
        print(line, flush=True)


def _progress(line: str) -> None:
    """One line that changes, on a terminal; elsewhere what was done."""
    if sys.stdout.isatty():
        # The end: the cursor's line is cleared from there on (ECMA-48, EL).
        print(f"\r{line}\x1b[K", end="\n" if line.startswith("100%") else "", flush=True)
    elif line.endswith("done."):
        print(line, flush=True)


def _works(options: argparse.Namespace) -> dict[str, Any]:
    """What must work again. Who is connected now must get in again."""
    return ask(options, {"verb": "update", "administrator": session.administrator()})


def _next(options: argparse.Namespace, record: Record) -> None:
    print(f"version {record.version} (system {record.slot}) is in place; after a restart it runs on trial")
    if options.restart:
        print("restarting")
        updating.restart()
    else:
        print("restart when it suits the office: sudo systemctl reboot")


def _missing(options: argparse.Namespace, record: Record) -> tuple[str, ...]:
    """Asks the supervisor of a system on trial, which may still be starting."""
    end = time.monotonic() + PROOF_SECONDS
    while True:
        left = end - time.monotonic()
        request = {
            "verb": "update",
            "facts": list(record.facts),
            "differs": list(record.differs),
            "configured": record.configured,
            "muted": record.muted,
            "seconds": max(1.0, left),
        }
        try:
            return tuple(ask(options, request, max(10.0, left + 10.0))["missing"])
        except SilentSupervisor as error:
            if left <= 0:
                return (str(error),)
        time.sleep(ASK_AGAIN_SECONDS)


def _status(options: argparse.Namespace, found: dict[str, Any]) -> None:
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    for each in found["systems"]:
        words = ["runs"] * each["runs"] + ["boots next"] * each["next"] + ["not to be booted"] * (not each["good"])
        print(f"system {each['system']}: {each['version'] or 'version unknown'}: {', '.join(words) or 'in reserve'}")
    if found["last"]:
        print(f"last update: {found['last']}")
