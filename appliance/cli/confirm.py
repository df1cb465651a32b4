"""Ends the trial: the configuration that runs becomes what a boot loads.
Call it from a session that was opened after the change; that shows that you still get in.
Exit code 0: confirmed; 1: nothing is on trial, or this session is older than the change.

example:
  sudo appliance confirm"""

from __future__ import annotations

import argparse

from appliance.cli import session
from appliance.cli.client import ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace) -> int:
    answer = ask(options, {"verb": "confirm", "opened": session.opened(), "who": session.caller()})
    print(f"confirmed: generation {answer['generation']} is what a boot loads")
    return 0
