"""The supervisor itself: memory, what wakes it when nothing happens, and how soon it is ready.

Measured in the demo's office (tests/labs/office.py), where it has two peers, and on a box with 1,000.
"""

from __future__ import annotations

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.bench.boxes import cpu_seconds, gate, request, start_to_ready, status_fields, supervisor
from tests.bench.figures import Bench, spread
from tests.bench.sites import gate as site
from tests.lab import Box, Lab
from tests.labs.office import BRANCH_HOST, ZURICH, Office, in_order

PROMISED_MB = 40.0
RUNS = 3
APPLIES = 4
IDLE_SECONDS = 25
"""A window; a whole number of beats, so that it has as many wherever it begins."""
SETTLE_SECONDS = 3


def measure(bench: Bench) -> None:
    with Lab("bench-supervisor") as lab:
        bench.say("supervisor: an office, and a box with 1,000 peers")
        office = Office(lab).build().go_online()
        office.host.ping(BRANCH_HOST, timeout=15)
        many = gate(lab, "many")
        small = [office.yaml("zurich"), office.yaml("zurich", ZURICH.replace("keepalive: 25", "keepalive: 20"))]
        large = [site(1000), site(1000, "10.250.0.0/24")]
        few_mb = _memory(bench, office.zurich, small)
        many_mb = _memory(bench, many, large)
        bench.lower("supervisor-rss", "MB", few_mb, [PROMISED_MB], "what was promised", 1)
        bench.note(
            f"supervisor's memory after {APPLIES} applies each, RSS: office {spread(few_mb, 'MB', 1)};"
            f" 1,000 peers {spread(many_mb, 'MB', 1)}"
        )
        starts = [_restart(office.zurich) * 1000 for _ in range(5)]
        bench.note(f"service start to READY, office: {spread(starts, 'ms')}")
        _idle(bench, office.zurich, many)


def _restart(box: Box) -> float:
    box.run("systemctl", "restart", "appliance")
    in_order(box, 10)
    return start_to_ready(box)


def _memory(bench: Bench, box: Box, files: list[str]) -> list[float]:
    """MB (10^6 bytes) of resident memory after a fresh start, changes to and fro, and a look at the status."""
    found = []
    for _ in range(RUNS):
        _restart(box)
        for number in range(APPLIES):
            request(box, "apply", files[number % 2])
        in_order(box, 10)
        found.append(status_fields(supervisor(box), ["VmRSS"])[0] * 1024 / 1e6)
    return found


@dataclass(frozen=True)
class Idle:
    """What a supervisor did in a while without events, a second of it: wake-ups, watchdog's beats, ms of processor."""

    wakeups: float
    beats: float
    cpu_ms: float


def _idle(bench: Bench, *boxes: Box) -> None:
    time.sleep(SETTLE_SECONDS)
    bench.say(f"supervisor: {RUNS} idle windows of {IDLE_SECONDS} s")
    with ThreadPoolExecutor() as pool:
        office, many = pool.map(lambda box: [_window(supervisor(box)) for _ in range(RUNS)], boxes)
    wakeups, beats = [each.wakeups for each in office], [each.beats for each in office]
    bench.lower("supervisor-idle-wakeups", "/s", wakeups, beats, "the watchdog's beats among them", 1)
    for name, found in (("office", office), ("1,000 peers", many)):
        bench.note(
            f"idle, {name}: {spread([each.wakeups for each in found], 'wake-ups a second', 2)},"
            f" {spread([each.beats for each in found], 'watchdog beats', 2)};"
            f" processor time {spread([each.cpu_ms for each in found], 'ms a second', 2)}"
        )


def _window(pid: int) -> Idle:
    """A wake-up is an epoll_wait that had to wait and came back; strace counts them, and adds none."""
    cpu = cpu_seconds(pid)
    words = ["timeout", "--signal=INT", str(IDLE_SECONDS)]
    words += ["strace", "--trace=epoll_wait,epoll_pwait,sendmsg", f"--attach={pid}"]
    said = subprocess.run(words, check=False, capture_output=True, text=True).stderr
    assert "attached" in said, f"strace says: {said.strip()}"
    waits = re.findall(r"^epoll_p?wait\(.*, (-?\d+)(?:, NULL, 8)?\)\s+= \d+", said, re.MULTILINE)
    woken = sum(1 for timeout in waits if timeout != "0")
    return Idle(
        wakeups=woken / IDLE_SECONDS,
        beats=said.count('"WATCHDOG=1"') / IDLE_SECONDS,
        cpu_ms=(cpu_seconds(pid) - cpu) * 1000 / IDLE_SECONDS,
    )
