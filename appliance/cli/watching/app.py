"""The screen of `appliance status --watch`: 80x24, 16 colours, no mouse; the Linux console, a serial line, ssh."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from appliance.cli.failure import Failure
from appliance.cli.watching.lines import above, columns, head, peers
from appliance.cli.watching.rates import Rates

EVERY_SECONDS = 1.0
KEYS = "q leave   arrows scroll   green: data went both ways in the last 3 minutes"
_CSS = """
Screen { layout: vertical; }
#head { background: ansi_blue; color: ansi_white; text-style: bold; padding: 0 1; height: 1; }
#said { color: ansi_red; text-style: bold; padding: 0 1; height: auto; display: none; }
#above { padding: 0 1 1 1; height: auto; max-height: 12; }
#columns { text-style: underline; padding: 0 1; height: 1; }
#list { height: 1fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; }
#keys { dock: bottom; background: ansi_blue; color: ansi_white; height: 1; padding: 0 1; }
"""


class WatchApp(App[int]):
    """`ask` gives the answer to `status`, or raises Failure with a sentence."""

    CSS = _CSS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [Binding("q,ctrl+c,escape", "quit", priority=True)]  # noqa: RUF012

    def __init__(self, ask: Callable[[], dict[str, Any]], first: dict[str, Any], every: float = EVERY_SECONDS) -> None:
        super().__init__(ansi_color=True)
        # Nothing moves by itself: a serial line carries 11 kB/s.
        self.animation_level = "none"
        self.ask = ask
        self.every = every
        self.rates = Rates()
        terminal = os.environ.get("TERM", "")
        self.plain = terminal in ("linux", "dumb") or terminal.startswith("vt")
        self.looking = False
        self.last = first
        self.longest = 0.0
        self.trial: int | None = None

    def compose(self) -> ComposeResult:
        yield Static("appliance", id="head", markup=False)
        yield Static(id="said", markup=False)
        yield Static(id="above", markup=False)
        yield Static(columns(), id="columns", markup=False)
        yield VerticalScroll(Static(id="peers", markup=False), id="list")
        yield Static(KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#list", VerticalScroll).focus()
        self.show(self.last, "")
        self.set_interval(self.every, self.look)

    def look(self) -> None:
        """Beside the screen, and one at a time: a supervisor that is busy must not hold up a key."""
        if not self.looking:
            self.looking = True
            self.ask_beside()

    @work(thread=True)
    def ask_beside(self) -> None:
        try:
            answer, why = self.ask(), ""
        except Failure as failure:
            answer, why = None, str(failure)
        self.call_from_thread(self.show, answer, why)

    def show(self, answer: dict[str, Any] | None, why: str) -> None:
        """What was answered; where nothing was, the last answer, and that it is old."""
        self.looking = False
        if not self.query("#said"):
            return  # an answer that comes after q
        if answer:
            self.rates.take(answer, time.monotonic())
            self._follow_trial(answer)
            self.last = answer
        said = self.query_one("#said", Static)
        said.display = bool(why)
        said.update(f"{why}; what stands below is old" if why else "")
        self.query_one("#head", Static).update(f"{head(self.last):<69} {time.strftime('%H:%M:%S')}")
        self.query_one("#above", Static).update(above(self.last, self.longest))
        self.query_one("#peers", Static).update(peers(self.last, self.rates, self.plain, old=not answer))

    def _follow_trial(self, answer: dict[str, Any]) -> None:
        trial = answer["trial"]
        number = trial["generation"] if trial else None
        if number != self.trial:
            self.trial, self.longest = number, trial["seconds_left"] if trial else 0.0


def watch(ask: Callable[[], dict[str, Any]]) -> None:
    """Draws until q."""
    # Asked once before the screen is taken: whoever cannot be answered reads why, and has the terminal as it was.
    first = ask()
    WatchApp(ask, first).run(mouse=False)
