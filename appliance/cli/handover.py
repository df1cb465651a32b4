"""Gives the role of master to the other box of the pair, which must be ready; nothing is cut off.
Run it on the master, before work on it. Exit code 0: asked; 1: not, and why: the other box is not ready, or not heard;
this one is not master, or stands alone; or the supervisor does not run.
On a box that stays back because its line was dead when it was master: the line is mended, it may have the role again.

example:
  sudo appliance handover"""

from __future__ import annotations

import argparse

from appliance.cli.client import ask
from appliance.cli.failure import Failure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace) -> int:
    answer = ask(options, {"verb": "handover", "forgive": True})
    partner = answer["pair"]["partner"]
    if answer["trouble"]:
        raise Failure(answer["trouble"])
    if partner:
        print(f"asked {partner['box']} to take over; see `appliance status`")
    return 0
