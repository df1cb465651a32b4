"""How the demo speaks: numbered phases with their time, lines with a mark, and a count of what did not work."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

MARGIN = "  "
WIDTH = 118
"""Columns where there is no terminal to ask."""


class Screen:
    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.console = Console(highlight=False, soft_wrap=True, width=None if self.terminal else WIDTH)
        self.started = time.monotonic()
        self.phases = 0
        self.worked = 0
        self.failed: list[str] = []

    @contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """A heading, what happens, and the seconds it took."""
        self.phases += 1
        started = time.monotonic()
        self.console.print(f"[bold cyan]{self.phases:2}  {title}[/]\n")
        yield
        seconds = time.monotonic() - started
        self.console.print(f"\n    [dim]{seconds:.1f} s[/]\n" if seconds >= 0.05 else "")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """A moving sign on a terminal while something takes its time; nothing elsewhere."""
        if self.terminal:
            with self.console.status(f"[dim]{what}[/]", spinner="dots"):
                yield
        else:
            yield

    def line(self, text: str = "") -> None:
        self.console.print(f"{MARGIN}  {text}")

    def said(self, output: str) -> None:
        """What a command printed, colours and all."""
        for line in output.rstrip().splitlines():
            self.console.print(Text(f"{MARGIN}  ") + Text.from_ansi(line))

    def check(self, worked: bool, text: str) -> bool:
        """One thing that had to work: ✓ or ✗ before it."""
        mark = "[green]✓[/]" if worked else "[bold red]✗[/]"
        self.console.print(f"{MARGIN}{mark} {text}")
        if worked:
            self.worked += 1
        else:
            self.failed.append(Text.from_markup(text).plain)
        return worked

    def environment(self) -> list[str]:
        """Words that give a command inside a node this terminal's colours and width."""
        colours = ["FORCE_COLOR=1"] if self.terminal and "NO_COLOR" not in os.environ else ["NO_COLOR=1"]
        return ["env", f"TERM={os.environ.get('TERM', 'dumb')}", f"COLUMNS={self.console.width - 4}", *colours]
