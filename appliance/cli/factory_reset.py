"""Restarts the box, and makes it as it came: configuration, keys, passwords, logs and identity are erased.
The box asks its setup's questions again. It cannot be taken back. In a pair, the other box keeps all of it.
--code CODE is for a stick: a file `appliance-factory-reset` with the code that --show-code says, plugged into the box.
Exit code 0: it restarts; 1: nothing was changed, and why.

example:
  sudo appliance factory-reset
  sudo appliance factory-reset --yes
  sudo appliance factory-reset --show-code"""

from __future__ import annotations

import argparse
import sys

from appliance.cli.failure import Failure
from appliance.shell import factory_reset
from appliance.shell.paths import Paths

QUESTION = "Everything that was set up on this box is erased, for good. Type `erase` to go on: "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--yes", action="store_true", help="do not ask")
    how.add_argument("--code", metavar="CODE", help="do not ask, if CODE is this box's")
    how.add_argument("--show-code", action="store_true", help="only print the code of this box")


def run(options: argparse.Namespace) -> int:
    paths = Paths(options.root)
    try:
        code = factory_reset.code(paths)
    except OSError as error:
        raise Failure(f"this box has no identity: {paths.root / 'etc/machine-id'}: {error.strerror}") from None
    if options.show_code:
        print(code)
        return 0
    if options.code is not None and options.code.strip().lower() != code:
        raise Failure(f"the code is not this box's, which is {code} (`appliance factory-reset --show-code`)")
    if not factory_reset.possible(paths):
        raise Failure("this system runs from no disk with a data partition of its own: there is nothing to erase")
    if not options.yes and options.code is None:
        if not sys.stdin.isatty():
            raise Failure("nobody is there to be asked; if it is meant, add --yes")
        if input(QUESTION).strip() != "erase":
            raise Failure("not erased, nothing was changed")
    try:
        factory_reset.request(paths)
    except factory_reset.Refused as error:
        raise Failure(str(error)) from None
    print("the box restarts and erases itself; its setup asks again")
    return 0
