"""Lists the generations: which configuration was applied when and by whom, and what became of it.
With N: prints the file of that generation.
Exit code 0: shown; 1: it is not kept here.

example:
  appliance history
  appliance history 12 > before.yaml"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time

from appliance.cli.client import ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("generation", nargs="?", type=int, metavar="N", help="print the file of this generation")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    answer = ask(options, {"verb": "history", "generation": options.generation})
    if options.generation is not None:
        sys.stdout.buffer.write(base64.b64decode(answer["file"]))
    elif options.json:
        print(json.dumps(answer["history"], indent=2))
    else:
        for each in answer["history"]:
            when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each["applied"]))
            runs = " ← runs" if each["runs"] else ""
            why = f": {each['why']}" if each["why"] else ""
            print(f"{each['number']:>4}  {when} UTC  {each['origin']:<12} {each['outcome']}{why}{runs}")
        if not answer["history"]:
            print("nothing was applied yet")
    return 0
