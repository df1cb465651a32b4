"""Takes the box to FILE: runs the plan, reads everything back, and only then makes FILE what a boot loads.
If a step fails, what was done is taken back and the configuration before runs again.
Exit code 0: it runs (or nothing was to do); 1: it does not, and why.

example:
  sudo appliance apply appliance.yaml"""

from __future__ import annotations

import argparse
import json

from appliance.cli.client import add_file, ask, file_request, print_plan, read_file, stop_on_problems


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="what was done, for programs")


def run(options: argparse.Namespace) -> int:
    name, content = read_file(options)
    answer = ask(options, file_request("apply", content))
    stop_on_problems(name, answer)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print_plan(answer)
        if answer["steps"]:
            print("applied: read back, everything is as the file says")
    return 0
