"""sudo make bench, or some of it: python3 -m tests.bench firewall"""

from __future__ import annotations

import importlib
import sys

from tests.bench.figures import Bench

SUBJECTS = ("peers", "firewall", "supervisor", "waiting", "takeover", "load", "flash")
"""Modules of this package. To add one: a module with `measure(bench)`, and its name here."""


def main() -> int:
    wanted = sys.argv[1:] or list(SUBJECTS)
    if unknown := [name for name in wanted if name not in SUBJECTS]:
        print(f"bench: there is no subject {unknown[0]}; write some of {', '.join(SUBJECTS)}", file=sys.stderr)
        return 2
    bench = Bench()
    failed = []
    for name in wanted:
        try:
            importlib.import_module(f"tests.bench.{name}").measure(bench)
        except (AssertionError, OSError) as error:
            failed.append(name)
            print(f"bench: {name} could not be measured: {error}", file=sys.stderr)
    bench.write()
    bench.show()
    bench.say("written to build/bench.json")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
