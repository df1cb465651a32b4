"""During a trial: ends it, and the last confirmed configuration returns.
Otherwise: tries generation N again (the one before, if N is not given), as `appliance apply` would try its file.
Exit code 0: done; 1: it could not be, and why.

example:
  sudo appliance rollback
  sudo appliance rollback 12"""

from __future__ import annotations

import argparse
import subprocess
from typing import Any

from appliance.cli.apply import add_trial, show, trial_request
from appliance.cli.client import ask, stop_on_problems
from appliance.cli.failure import Failure
from appliance.shell.paths import Paths

SUPERVISOR = "appliance.service"
EXPIRED_SECONDS = 45.0
"""Going back may take two times the supervisor's patience with networkd."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("generation", nargs="?", type=int, metavar="N", help="see `appliance history`")
    add_trial(parser)
    parser.add_argument("--json", action="store_true", help="what was done, for programs")
    # What systemd runs when a trial was not confirmed in time (supervisor/trials.py).
    parser.add_argument("--expired", metavar="TRIAL", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    request = {"verb": "rollback", "generation": options.generation, **trial_request(options)}
    if options.expired:
        request["expired"] = options.expired
        return _expired(options, request)
    answer = ask(options, request)
    stop_on_problems(f"generation {options.generation or 'before'}", answer)
    if "said" in answer:
        print(answer["said"])
    else:
        show(options, answer)
    return 0


def _expired(options: argparse.Namespace, request: dict[str, Any]) -> int:
    """The deadline has come. A supervisor that does not answer is ended: a new one begins with what is confirmed."""
    try:
        print(ask(options, request, EXPIRED_SECONDS)["said"])
    except Failure as failure:
        print(f"{failure}; the supervisor is started anew with the last confirmed configuration")
        Paths(options.root).trial.unlink(missing_ok=True)
        subprocess.run(["systemctl", "kill", "--signal=KILL", SUPERVISOR], check=False)
        subprocess.run(["systemctl", "restart", SUPERVISOR], check=False)
    return 0
