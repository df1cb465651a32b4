"""What a person waits for at the keyboard: a verb's answer, and the first screen of what draws one."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench.boxes import gate
from tests.bench.figures import Bench
from tests.bench.sites import gate as site
from tests.lab import Box, Lab
from tests.lab.terminal import Terminal
from tests.labs.office import Office
from tests.labs.test_setup import NewOffice

RUNS = 5
SCREENS = 3
STATUS_SECONDS = 0.3
CHECK_SECONDS = 1.0
SCREEN_SECONDS = 2.0
FILE = "/data/many.yaml"


def measure(bench: Bench) -> None:
    with Lab("bench-waiting") as lab:
        bench.say("waiting: an office, and a box with 1,000 peers")
        office = Office(lab).build().go_online()
        many = gate(lab, "many")
        many.put(FILE, site(1000))
        many.run("appliance", "apply", FILE, "--confirm", "auto", timeout=60)
        for name, box in (("status", office.zurich), ("status-1000-peers", many)):
            _add(bench, name, STATUS_SECONDS, [_status(box) for _ in range(RUNS)])
        found = [_took(lambda: many.run("appliance", "check", FILE)) for _ in range(RUNS)]
        _add(bench, "check-1000-peers", CHECK_SECONDS, found)
        found = [_screen(office.zurich.entry(), lab, "appliance status --watch", "geneva") for _ in range(SCREENS)]
        _add(bench, "watch-first-screen", SCREEN_SECONDS, found)
    with Lab("bench-waiting-setup") as lab:
        new = NewOffice(lab)
        found = [_screen(new.box.entry(), lab, "appliance setup", "One box or two?") for _ in range(SCREENS)]
        _add(bench, "setup-first-screen", SCREEN_SECONDS, found)


def _add(bench: Bench, name: str, promised: float, seconds: list[float]) -> None:
    bench.lower(name, "s", seconds, [promised], "what was promised", 1)


def _status(box: Box) -> float:
    """Its exit code says whether all is as the file says, which is not the question here."""
    return _took(lambda: box.run("appliance", "status", check=False))


def _took(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _screen(entry: list[str], lab: Lab, command: str, text: str) -> float:
    """Seconds from the command until its screen stands in a terminal of 80x24."""
    argv = [word if not word.startswith("TERM=") else "TERM=linux" for word in entry]
    began = time.monotonic()
    with Terminal([*argv, "script", "-qec", command, "/dev/null"], lab.log) as terminal:
        terminal.shows(text)
        return time.monotonic() - began
