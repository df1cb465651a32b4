"""sudo make demo"""

from __future__ import annotations

import os
import sys
import time

from tests.demo import show
from tests.demo.prompt import Prompt
from tests.demo.screen import Screen
from tests.lab import Lab
from tests.labs import office as scene
from tests.labs.office import Office


def main() -> int:
    wanted = os.environ.get("DEMO_SECONDS", "")
    try:
        seconds = float(wanted) if wanted else None
    except ValueError:
        print(f"DEMO_SECONDS is {wanted!r}; write a number of seconds, such as DEMO_SECONDS=30", file=sys.stderr)
        return 2
    screen = Screen()
    screen.console.print("\n[bold]appliance[/]: one box, one file, and a real office goes online\n")
    try:
        with Lab("demo", scene.__doc__ or "") as lab:
            office = Office(lab)
            show.run(screen, office)
            _summary(screen)
            _stay(screen, office, seconds)
    except KeyboardInterrupt:
        screen.console.print("\nStopped; everything that ran is gone.")
        return 130
    except AssertionError as error:
        screen.console.print(f"\n[bold red]The demo cannot go on:[/] {error}", markup=True)
        screen.console.print("Each command with its output: build/lab-logs/demo.log")
        return 1
    return 1 if screen.failed else 0


def _summary(screen: Screen) -> None:
    took = time.monotonic() - screen.started
    if screen.failed:
        screen.console.print(f"[bold red]{len(screen.failed)} of {screen.worked + len(screen.failed)} did not work:[/]")
        for each in screen.failed:
            screen.console.print(f"  ✗ {each}", markup=False)
        screen.console.print("Each command with its output: build/lab-logs/demo.log\n")
    else:
        screen.console.print(f"[bold green]All {screen.worked} things worked[/], in {took:.1f} s.\n")


def _stay(screen: Screen, office: Office, seconds: float | None) -> None:
    """Leaves a prompt where somebody sits at a terminal; without one, stays for as long as it was told."""
    if seconds == 0:
        return
    if sys.stdin.isatty() and screen.terminal:
        Prompt(screen, office).run(seconds or 0)
    elif seconds:
        screen.console.print(f"Staying for {seconds:g} seconds, since there is no terminal for a prompt.")
        time.sleep(seconds)


if __name__ == "__main__":
    sys.exit(main())
