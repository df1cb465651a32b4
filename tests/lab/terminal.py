"""A real terminal to look at and type into: tmux(1), 80x24 or higher, over a program that runs anywhere in a lab."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.log import Log
from tests.lab.waiting import wait_for

COLUMNS, LINES = 80, 24


class Terminal:
    """`term` is what the program is told it runs on: linux is the console's. `patience`: so many times slower than
    a processor that is not emulated may it be."""

    def __init__(
        self, argv: Sequence[str], log: Log, term: str = "linux", patience: float = 1, lines: int = LINES
    ) -> None:
        self.log, self.patience = log, patience
        self.home = tempfile.TemporaryDirectory(prefix="terminal-")
        self.socket = str(Path(self.home.name) / "tmux")
        started = ["new-session", "-d", "-x", str(COLUMNS), "-y", str(lines), "--", *argv]
        # What this machine's user has configured does not matter here; neither does a session that runs above.
        self.environment = {key: value for key, value in os.environ.items() if key != "TMUX"}
        self._tmux("set", "-g", "default-terminal", term, ";", "set", "-g", "remain-on-exit", "on", ";", *started)

    def _tmux(self, *words: str) -> str:
        argv = ["tmux", "-f", "/dev/null", "-S", self.socket, *words]
        if words[0] == "set":
            argv = [*argv[:5], "start-server", ";", *words]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise AssertionError(f"tmux {words[0]}: {done.stderr.strip()}")
        return done.stdout

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def shows(self, text: str, timeout: float = 15) -> str:
        """Waits until the text stands on the screen; the screen, which goes into the log as well."""
        try:
            wait_for(lambda: text in self.screen, timeout * self.patience, f"the screen shows {text!r}")
        except AssertionError:
            self.log.section("the screen", self.screen)
            raise
        screen = self.screen
        self.log.section(f"screen: {text}", screen)
        assert all(len(line) <= COLUMNS for line in screen.splitlines())
        return screen

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, Escape, F2, Down."""
        self.log.line(f"[terminal] press {' '.join(keys)}")
        self._tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        """Types in the place of what stands in the field: End, then all of it away.

        Textual carries out a field's bindings later than it takes letters, so letters wait for the empty field.
        """
        self.log.line(f"[terminal] type {text}")
        self._tmux("send-keys", "End", "C-u")
        wait_for(lambda: re.search(r"│ +│", self.screen), 5 * self.patience, "the field is empty")
        self._tmux("send-keys", "-l", text)

    def say(self, text: str) -> None:
        """Types it as it is, a line's end as Enter; where no field is."""
        self.log.line(f"[terminal] type {text!r}")
        for line in text.splitlines(keepends=True):
            self._tmux("send-keys", "-l", line.rstrip("\n"))
            if line.endswith("\n"):
                self._tmux("send-keys", "Enter")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._tmux("kill-server")
        self.home.cleanup()
