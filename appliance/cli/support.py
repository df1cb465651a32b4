"""Writes an archive that you can send to whoever is to help: status, plan, history, appliance.yaml, firewall, routes,
wg show, the last day's journal, versions. No private or preshared key, password or hash is in it; addresses, names
and public keys are. Only its owner can read it. Works too while the supervisor does not run.
Exit code 0: written; 1: not, and why.

example:
  sudo appliance support
  ssh admin@box sudo appliance support -o - > box.tar.gz"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.cli.client import ask, file_request
from appliance.cli.failure import Failure
from appliance.core.support import archive_name
from appliance.shell import support
from appliance.shell.paths import Paths

SECONDS = 20.0
"""A supervisor that hangs is one reason to write an archive."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: a name with site, box and time, here; -: to a pipe"
    )


def run(options: argparse.Namespace) -> int:
    paths, now = Paths(options.root), time.time()
    piped = str(options.output) == "-"
    if piped and sys.stdout.isatty():
        raise Failure("an archive is nothing for a screen; name a file: -o FILE")
    status = _answer(options, lambda: {"verb": "status"}, "status")
    answers = {
        "status": status,
        "plan": _answer(options, lambda: file_request("plan", _configuration(paths))),
        "history": _answer(options, lambda: {"verb": "history", "generation": None}, "history"),
    }
    site, box = status.get("site"), status.get("box")
    name = archive_name(site or "", box or paths.box_name() or "", now)
    texts = {f"{verb}.json": json.dumps(answer, indent=2) + "\n" for verb, answer in answers.items()}
    texts["appliance-version.txt"] = f"{__version__}\n"
    try:
        found = support.members(paths, texts)
    except PermissionError:
        raise Failure("only root can tell what is secret here, and leave it out; put sudo before it") from None
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read, so nothing was written: {error.strerror}") from None
    if piped:
        try:
            support.write(sys.stdout.buffer, name, found, now)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Failure(f"standard output does not take it: {error.strerror}") from None
        return 0
    path = options.output or Path(f"{name}.tar.gz")
    _write(path, name, found, now)
    print(f"{path} is written. Addresses, names and public keys are in it, no private ones.")
    print(f"Look through it before you send it: tar -xzOf {path} | less")
    return 0


def _configuration(paths: Paths) -> bytes:
    try:
        return paths.configuration.read_bytes()
    except OSError as error:
        raise Failure(f"{paths.configuration} cannot be read: {error.strerror}") from None


def _answer(options: argparse.Namespace, request: Callable[[], dict[str, Any]], part: str = "") -> Any:
    """What the supervisor says, or why it cannot be asked or does not answer."""
    try:
        answer = ask(options, request(), SECONDS)
    except Failure as failure:
        return {"error": str(failure)}
    return answer[part] if part else answer


def _write(path: Path, name: str, found: dict[str, bytes], now: float) -> None:
    """Whole, or not at all."""
    try:
        out = support.create(path)
    except FileExistsError:
        raise Failure(f"{path} exists; name another file: -o FILE") from None
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from None
    try:
        with out:
            support.write(out, name, found, now)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise Failure(f"{path} cannot be written: {error.strerror}") from None
