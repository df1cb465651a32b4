"""Gives the role of master to the other box of the pair, which must be ready; nothing is cut off.
Run it on the master, before work on it. Exit code 0: asked; 1: this box stands alone, or the supervisor does not run.

example:
  sudo appliance handover"""

from __future__ import annotations

import argparse

from appliance.cli.client import ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace) -> int:
    answer = ask(options, {"verb": "handover"})
    partner = answer["pair"]["partner"]
    if answer["trouble"]:
        print(answer["trouble"])
    elif partner:
        print(f"asked {partner['box']} to take over; see `appliance status`")
    return 0
