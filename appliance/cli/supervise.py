"""The service: keeps the box as its confirmed configuration says. systemd starts it (appliance.service).

example:
  systemctl status appliance"""

from __future__ import annotations

import argparse

from appliance.shell.paths import Paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace) -> int:
    from appliance.supervisor.service import supervise

    return supervise(Paths(options.root))
