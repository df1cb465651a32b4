"""No spurious takeover while every processor is busy: a pair beside two busy loops for each processor.

BENCH_LOAD_MINUTES (1) is how long. A takeover that nobody asked for shows as another epoch, and in keepalived's words.
"""

from __future__ import annotations

import os
import subprocess
import time

from tests.bench.figures import Bench
from tests.lab import Box, Lab, wait_for
from tests.labs.pair import Duo, pair, prefer_alpha

MINUTES = float(os.environ.get("BENCH_LOAD_MINUTES", "1"))
LOOPS = 2 * (os.cpu_count() or 1)


def measure(bench: Bench) -> None:
    with Lab("bench-load") as lab:
        duo = Duo(lab).build().boot()
        prefer_alpha(duo)
        before = pair(duo.alpha)["epoch"], _said(duo.alpha), _said(duo.bravo)
        loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(LOOPS)]
        began = time.monotonic()
        try:
            wait_for(lambda: _passed(bench, began), MINUTES * 60 + 30, "the time is over", 0.1)
            idle = _idle()
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        after = pair(duo.alpha)["epoch"], _said(duo.alpha), _said(duo.bravo)
        stood = len(duo.alpha.journal("-u", "appliance", "--grep", "stood still").splitlines()) - 1
        assert after == before, f"the role moved under load: {before} became {after}\n{duo.alpha.journal('-n', '200')}"
        assert duo.master() is duo.alpha
        bench.note(
            f"{LOOPS} busy loops on {os.cpu_count()} processors for {MINUTES:g} minutes ({idle:.1f} % idle): no "
            f"takeover; alpha's supervisor stood still {max(0, stood)} times for more than 0.25 s"
        )


def _passed(bench: Bench, began: float) -> bool:
    minutes = (time.monotonic() - began) / 60
    bench.say(f"load: {minutes:.1f} of {MINUTES:g} minutes")
    return minutes >= MINUTES


def _said(box: Box) -> list[str]:
    """What keepalived said of the role so far."""
    lines = box.journal("-u", "appliance", "--output=cat", "--grep", "^VRRP: ").splitlines()
    return [line for line in lines if line.startswith("VRRP: ")]


def _idle() -> float:
    """Percent of all processors' time in one second."""

    def read() -> tuple[int, int]:
        with open("/proc/stat") as file:
            words = [int(word) for word in file.readline().split()[1:]]
        return words[3], sum(words)

    idle, whole = read()
    end = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > end, 5, "a second passes")
    later, all_of_it = read()
    return 100 * (later - idle) / (all_of_it - whole)
