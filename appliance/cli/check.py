"""Reads an appliance.yaml and reports every problem at once, each as
FILE:LINE:COLUMN: path: what is wrong, and what to write instead.
Needs no root and no network. Exit code 0: good; 1: problems.

example:
  appliance check appliance.yaml
  appliance check --json appliance.yaml"""

from __future__ import annotations

import argparse
import json
import sys

from appliance.cli.client import add_file, read_file
from appliance.core.check import check
from appliance.core.codec import to_json
from appliance.core.problems import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="a list of problems for programs")


def run(options: argparse.Namespace) -> int:
    name, content = read_file(options)
    try:
        config, _ = check(content)
    except ConfigurationError as error:
        if options.json:
            print(json.dumps([{**to_json(problem), "file": name} for problem in error.problems], indent=2))
        else:
            for problem in error.problems:
                print(problem.line(name), file=sys.stderr)
        return 1
    peers = sum(len(tunnel.peers) for tunnel in config.tunnels.values())
    if options.json:
        print("[]")
    else:
        print(f"{name}: good: site {config.site}, {_count(len(config.boxes), 'box', 'boxes')}, "
              f"{_count(len(config.tunnels), 'tunnel', 'tunnels')}, {_count(peers, 'peer', 'peers')}")  # fmt: skip
    return 0


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
