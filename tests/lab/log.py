"""The log of one lab: its drawing, then each command as it was run, with where, when and what came back."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

LOGS = Path(__file__).parents[2] / "build" / "lab-logs"

# More output than this is cut in the log; a failing command's error carries it whole.
LONGEST = 4000


class Log:
    """Appends to build/lab-logs/NAME.log, a line at a time, so that it is complete when a lab is killed."""

    def __init__(self, name: str, drawing: str = "") -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.path = LOGS / f"{name}.log"
        self._file = self.path.open("w", buffering=1)
        self._started = time.monotonic()
        self._lock = Lock()
        if drawing:
            self._file.write(drawing.rstrip() + "\n\n")

    def command(self, where: str, argv: Sequence[str]) -> None:
        self.line(f"[{where}] {shlex.join(argv)}")

    def output(self, text: str) -> None:
        text = text.rstrip()
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}\n... {len(text) - LONGEST} characters more"
        for line in text.splitlines():
            self.line(f"    {line}")

    def section(self, title: str, text: str) -> None:
        self.line(f"==== {title}")
        with self._lock:
            self._file.write(text.rstrip() + "\n")

    def line(self, text: str) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(f"{time.monotonic() - self._started:8.3f} {text}\n")

    def close(self) -> None:
        with self._lock:
            self._file.close()
