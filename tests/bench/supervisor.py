"""The supervisor itself: memory, what wakes it when nothing happens, and how soon it is ready.

Measured in the demo's office (tests/labs/office.py), where it has two peers, and on a box with 1,000.
"""

from __future__ import annotations

import re
import statistics
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
IDLE_SECONDS = 60
"""A whole number of beats, so that a window that begins anywhere has as many."""
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
    """What a supervisor did in a minute without events: a second, but for `cpu_ms`, which is of the whole time."""

    wakeups: float
    switches: float
    cpu_ms: float


def _idle(bench: Bench, *boxes: Box) -> None:
    time.sleep(SETTLE_SECONDS)
    bench.say(f"supervisor: {RUNS} idle windows of {IDLE_SECONDS // RUNS} s")
    with ThreadPoolExecutor() as pool:
        office, many = ([each for each in found] for found in pool.map(_windows, boxes))
    beat = _beat_seconds(boxes[0])
    bench.lower(
        "supervisor-idle-wakeups",
        "/s",
        [each.wakeups for each in office],
        [1 / beat],
        f"the watchdog's own, one in {beat:g} s",
        1,
    )
    for name, windows in (("office", office), ("1,000 peers", many)):
        cpu = sum(each.cpu_ms for each in windows) / IDLE_SECONDS
        bench.note(
            f"idle, {name}: {statistics.median(each.wakeups for each in windows):.3f} wake-ups/s,"
            f" {statistics.median(each.switches for each in windows):.3f} voluntary context switches/s,"
            f" {cpu:.2f} ms of processor time a second"
        )


def _windows(box: Box) -> list[Idle]:
    return [_window(supervisor(box), IDLE_SECONDS / RUNS) for _ in range(RUNS)]


def _window(pid: int, seconds: float) -> Idle:
    """epoll_wait's returns are counted by strace; it adds no wake-ups, and to the processor time next to nothing."""
    cpu = cpu_seconds(pid)
    switches = status_fields(pid, ["voluntary_ctxt_switches"])[0]
    words = ["timeout", "--signal=INT", f"{seconds:g}", "strace", "--trace=epoll_wait,epoll_pwait", f"--attach={pid}"]
    said = subprocess.run(words, check=False, capture_output=True, text=True).stderr
    assert "attached" in said, f"strace says: {said.strip()}"
    returned = len(re.findall(r"= \d+", said))
    after = status_fields(pid, ["voluntary_ctxt_switches"])[0]
    return Idle(returned / seconds, (after - switches) / seconds, (cpu_seconds(pid) - cpu) * 1000)


def _beat_seconds(box: Box) -> float:
    """Half of the watchdog's time, as sd_watchdog_enabled(3) asks."""
    said = box.sh("systemctl show appliance --property=WatchdogUSec --value")
    seconds = re.fullmatch(r"(\d+)s", said)
    assert seconds, f"the watchdog's time is {said!r}"
    return int(seconds[1]) / 2
