"""Prints what `monitoring:` lets Prometheus read: how the box is at this moment, in Prometheus' text format.

example:
  appliance metrics
  curl http://192.168.10.1:9586/metrics    (from a host that appliance.yaml names under monitoring: readers:)"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", type=Path, metavar="FILE", help="answer at the addresses in FILE; started by systemd"
    )


def run(options: argparse.Namespace) -> int:
    from appliance.cli.client import ask
    from appliance.cli.exporter import serve, text

    if options.listen:
        serve(options)
    sys.stdout.write(text(ask(options, {"verb": "status"})["status"]))
    return 0
