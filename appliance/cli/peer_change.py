"""How a changed appliance.yaml becomes the box's: tried first, written when it runs; what does not leaves nothing."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.cli.apply import show_trial, trial_request
from appliance.cli.client import Refusal, ask, file_request, print_plan, read_file, stop_on_problems
from appliance.cli.failure import Failure, Uncertain, sentence
from appliance.core.check import check
from appliance.core.generations import CONFIRMED
from appliance.core.model import Config
from appliance.core.problems import ConfigurationError
from appliance.shell.paths import Paths
from appliance.shell.peering import Refused, Secrets, replace_file, write_private


@dataclass(frozen=True, slots=True)
class File:
    """appliance.yaml as it was read; `config` is what it says."""

    path: Path
    content: bytes
    config: Config


def read_sound(options: argparse.Namespace) -> File:
    """The file to be changed; one that has problems is not touched."""
    if not options.no_apply and os.geteuid():
        raise Failure("only root may do this; put sudo before it, or only edit the file: --no-apply")
    name, content = read_file(options)
    path = Path(name)
    if name == "-":
        raise Failure("--file -: a file is changed in its place; name it")
    found = File(path, content, sound(name, content))
    if not options.no_apply:
        _current(options, found)
    return found


def sound(name: str, content: bytes) -> Config:
    """What the bytes say. Prints every problem and fails where there are any."""
    try:
        return check(content)[0]
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem.line(name), file=sys.stderr)
        count = len(error.problems)
        raise Failure(f"{name} has {count} problem{'s' if count > 1 else ''}; nothing was changed") from None


def _current(options: argparse.Namespace, file: File) -> None:
    """A box whose file is older than what runs (a bundle came, or the other box did it) must not go back by this."""
    status = ask(options, {"verb": "status"})["status"]
    digest = hashlib.sha256(file.content).hexdigest()
    if status["configuration"] in (None, digest):
        return
    history = ask(options, {"verb": "history"})["history"]
    if any((each["digest"], each["outcome"]) == (digest, CONFIRMED) for each in history):
        raise Failure(
            f"{file.path} is older than what runs here; take that one (`appliance history {status['generation']}` "
            "prints it), or apply this one first"
        )
    print(f"note: {file.path} has changes that do not run yet; they become part of this one")


def carry_out(
    options: argparse.Namespace,
    file: File,
    content: bytes,
    secrets: Mapping[str, str] | None = None,
    private: Mapping[Path, bytes] | None = None,
) -> None:
    """Applies `content`, then writes it over the file. `secrets` are the preshared keys that it names for the first
    time, `private` the files for the other side; whatever happens, none of these is left of a change that failed.
    """
    sound(str(file.path), content)
    paths = Paths(options.root)
    store = Secrets(paths, Path())
    kept: list[str] = []
    written: list[Path] = []
    try:
        for path, text in (private or {}).items():
            write_private(path, text)
            written.append(path)
        for name, value in (secrets or {}).items():
            store.keep(name, value)
            kept.append(name)
        if options.no_apply:
            replace_file(file.path, file.content, content)
        else:
            _apply(options, file, content)
    except BaseException as error:
        if not isinstance(error, Uncertain):
            for name in kept:
                store.drop(name)
            for path in written:
                with contextlib.suppress(OSError):  # a stick may have gone
                    path.unlink()
        if isinstance(error, Refused | OSError):
            raise Failure(f"{sentence(error)}; nothing was changed") from None
        raise
    for name in kept:
        if not store.here:
            print(f"{store.place(name)}: its preshared key, for `bundle create --secret {name}={store.place(name)}`")


def _apply(options: argparse.Namespace, file: File, content: bytes) -> None:
    name = str(file.path)
    plan = ask(options, file_request("plan", content))
    stop_on_problems(name, plan)
    print_plan(plan)
    sys.stdout.flush()
    try:
        answer = ask(options, {**file_request("apply", content), **trial_request(options)})
    except Refusal:
        raise
    except (Failure, KeyboardInterrupt) as error:
        raise Uncertain(f"{error or 'interrupted'}; {name} was not changed, see `appliance status`") from None
    stop_on_problems(name, answer)
    try:
        replace_file(file.path, file.content, content)
    except Refused as error:
        raise Uncertain(f"it runs, but {error}; see `appliance history` for the file that runs") from None
    show_trial(answer)
