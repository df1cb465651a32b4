"""Tries FILE: runs the plan, reads everything back, and shows whether what worked before still works.
A failed step is taken back. What runs then is a trial: unless it is confirmed in time, the last confirmed
configuration returns by itself; a boot or a power cut returns to it at once.
Confirm from a new session (`appliance confirm`), which shows that you still get in; or let the box confirm by itself
when everything that worked before works again (--confirm auto), and otherwise go back.
Exit code 0: it runs (or nothing was to do); 1: it does not, and why.

example:
  sudo appliance apply appliance.yaml
  sudo appliance apply --confirm-within 10m appliance.yaml
  sudo appliance apply --confirm auto appliance.yaml"""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from appliance.cli import session
from appliance.cli.client import add_file, ask, file_request, print_plan, read_file, stop_on_problems

SHORTEST, LONGEST = 5.0, 86400.0
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    add_trial(parser)
    parser.add_argument("--json", action="store_true", help="what was done, for programs")


def add_trial(parser: argparse.ArgumentParser) -> None:
    """How a trial is to end."""
    parser.add_argument(
        "--confirm-within",
        type=duration,
        default=90.0,
        metavar="TIME",
        help="how long the trial waits to be confirmed: 90s (default), 10m, 2h",
    )
    parser.add_argument("--confirm", choices=["auto"], help="auto: the box confirms on full proof, or goes back")


def trial_request(options: argparse.Namespace) -> dict[str, Any]:
    """What the supervisor is told about the trial and who asks for it."""
    return {
        "within": options.confirm_within,
        "confirm": options.confirm,
        "origin": session.caller(),
        "administrator": session.administrator(),
    }


def duration(text: str) -> float:
    """Seconds from `90s`, `10m`, `2h`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no time from 5s to 24h; write 90s, 10m or 2h")
    return seconds


def run(options: argparse.Namespace) -> int:
    name, content = read_file(options)
    answer = ask(options, {**file_request("apply", content), **trial_request(options)})
    stop_on_problems(name, answer)
    show(options, answer)
    return 0


def show(options: argparse.Namespace, answer: dict[str, Any]) -> None:
    """Prints what a trial did and how it stands."""
    if options.json:
        print(json.dumps(answer, indent=2))
        return
    print_plan(answer)
    show_trial(answer)


def show_trial(answer: dict[str, Any]) -> None:
    """How the trial stands that the answer tells of."""
    trial = answer["trial"]
    if trial is None:
        if answer["steps"]:
            print(f"applied and confirmed: read back, generation {answer['generation']} is as the file says")
        return
    both = ", on both boxes" if trial["both_boxes"] else ""
    print(f"applied and read back; generation {trial['generation']} is on trial{both}")
    for fact in trial["works"]:
        print(f"  as before: {fact}")
    for fact in trial["not_seen_yet"]:
        print(f"  not seen yet: {fact}")
    back = f"generation {answer['generation']}" if answer["generation"] else "no configuration"
    print(f"without `appliance confirm` from a new session {back} returns in {trial['seconds_left']:.0f} s")
