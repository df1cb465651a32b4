"""The supervisor is killed at every single system call by which it changes something, while it applies, confirms, goes
back and takes a bundle: afterwards the box runs the whole configuration before or the whole one after.

strace counts the calls and sends the signal (strace(1), --inject): the product knows nothing of it. What a cut of the
power leaves at the same places, tests/unit/test_power_cuts.py works out; it is cut here as well, at a few of them.

        internet              office host
           │ 203.0.113.1          │
       wan │ .2               lan │ 192.168.10.1
        ┌──┴──────────────────────┴──┐
        │           gate             │
        └────────────────────────────┘
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bench.boxes import supervisor
from tests.bench.sites import public_key
from tests.lab import Box, Lab, wait_for
from tests.labs.office import in_order, status
from tests.labs.signers import Signers
from tests.labs.wiring import apply

CALLS = "rename,unlink,unlinkat,fsync,vfork,clone,clone3,sendmsg,sendto"
"""By which a supervisor changes something: files, the commands that it starts, nft, netlink and the engine. What it
asks netlink is among them."""
TRIES = int(os.environ.get("LAB_KILLS", "8"))
"""So many for each verb, spread over all of its calls; LAB_KILLS=1000 is every one of them (20 minutes)."""
AGAIN = 3
"""Tries at one call: the supervisor's beat may come in between, and its calls were counted or take a number."""
FILE = "/data/new.yaml"
BEFORE, AFTER = ("10.20.0.2", "10.20.0.3"), ("10.20.0.3", "10.20.0.4")

type Threads = Callable[[int], list[int]]


def text(trust: str, peers: tuple[str, ...], more: str) -> str:
    lines = [f"      p{n}: {{public_key: {public_key(n)}, address: {address}}}" for n, address in enumerate(peers)]
    return f"""\
version: 1
site: kill
boxes:
  gate:
    interfaces:
      wan: {{device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}}
      lan: {{device: enp2s0, address: [192.168.10.1/24{more}]}}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
{chr(10).join(lines)}
firewall:
  allow: [{{from: lan, to: wan}}, {{from: office.p0, to: lan}}]
{trust}"""


class Drawing:
    def __init__(self, lab: Lab, folder: Path) -> None:
        wan, lan = lab.switch("wan"), lab.switch("lan")
        lab.node("internet").attach(wan, "eth0", ["203.0.113.1/24"])
        self.box: Box = lab.box("gate")
        self.box.attach(wan, "enp1s0")
        self.box.attach(lan, "enp2s0")
        self.box.boot()
        self.signers = Signers(folder)
        self.before = text(self.signers.trust, BEFORE, "")
        self.after = text(self.signers.trust, AFTER, ", 192.168.11.1/24")
        self.box.put(FILE, self.before)
        apply(self.box, FILE)

    def runs(self) -> str:
        """Which of the two configurations the engine, the kernel and nft have, all three the same one."""
        said = (
            self.box.sh("wg show wg-office allowed-ips"),
            self.box.sh("ip -o address show enp2s0"),
            self.box.sh("nft -t list table inet appliance"),
        )
        new = ("10.20.0.4/32" in said[0], "192.168.11.1" in said[1], "10.20.0.3 comment" in said[2])
        assert len(set(new)) == 1, f"half of it runs: {new}"
        assert ("10.20.0.2/32" in said[0]) != new[0]
        return "after" if new[0] else "before"

    def back_to_before(self) -> None:
        if status(self.box)["trial"]:
            self.box.run("appliance", "rollback")
        self.box.put(FILE, self.before)
        apply(self.box, FILE)
        in_order(self.box)
        assert self.runs() == "before"


@pytest.fixture(scope="module")
def drawing(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawing]:
    yield Drawing(shared_lab, tmp_path_factory.mktemp("laptop"))


def main_thread(pid: int) -> list[int]:
    return [pid]


def other_threads(pid: int) -> list[int]:
    """Those that wait for work, which a trial before has started."""
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]


def traced(box: Box, threads: Threads, more: list[str], work: Callable[[], object]) -> list[str]:
    """Does the work while strace looks at these threads of the supervisor; the calls that it saw."""
    pid = supervisor(box)
    tasks = threads(pid)
    with tempfile.NamedTemporaryFile("r") as seen:
        argv = ["strace", "-q", *(f"--attach={task}" for task in tasks), f"--trace={CALLS}", *more, "-o", seen.name]
        tracer = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            for task in tasks:
                wait_for(lambda task=task: _tracer(pid, task) in (tracer.pid, None), 5, "strace sees the supervisor")
            work()
        finally:
            tracer.terminate()
            tracer.wait()
        return seen.read().splitlines()


_CALL = re.compile(r"(\d+ +)?([a-z]+[a-z0-9]*)\(")


def ranked(lines: list[str]) -> list[tuple[str, int]]:
    """Each call with its number among the calls of that name in its thread, which is how strace counts them."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for line in lines:
        if call := _CALL.match(line):
            thread, name = call[1] or "", call[2]
            counts[thread, name] += 1
            found.append((name, counts[thread, name]))
    return found


def _tracer(pid: int, task: int) -> int | None:
    """None: the process is gone; a beat of the watchdog was its first call."""
    try:
        return int(Path(f"/proc/{pid}/task/{task}/status").read_text().partition("TracerPid:")[2].split()[0])
    except OSError:
        return None


def killed(
    drawing: Drawing,
    verb: str,
    prepare: Callable[[], object],
    work: Callable[[], object],
    threads: Threads = main_thread,
) -> None:
    """Kills at each of the calls that the work makes, and looks at what is left."""
    box = drawing.box
    prepare()
    calls = list(dict.fromkeys(ranked(traced(box, threads, [], work))))
    drawing.back_to_before()
    tried = calls[:: -(-len(calls) // TRIES)]
    found: Counter[str] = Counter()
    for name, number in tried:
        if not any(_killed_at(drawing, name, number, prepare, work, threads) for _ in range(AGAIN)):
            found["never came to it"] += 1
            continue
        wait_for(lambda: box.run("appliance", "status", "--json", check=False).returncode == 0, 20, "all is in order")
        runs, trial = drawing.runs(), status(box)["trial"]
        assert runs == "after" or not trial, f"{verb}, killed at {name} number {number}: on trial, and does not run"
        found[f"{runs}{', on trial' if trial else ''}"] += 1
        drawing.back_to_before()
    print(f"{verb}: killed at {len(tried)} of {len(calls)} calls; what ran then: {dict(found)}")
    assert set(found) <= {"before", "after", "after, on trial", "never came to it"}
    assert found["never came to it"] <= len(tried) / 4


def _killed_at(
    drawing: Drawing,
    name: str,
    number: int,
    prepare: Callable[[], object],
    work: Callable[[], object],
    threads: Threads,
) -> bool:
    """Whether it was; where it was not, all is as before."""
    prepare()
    before = supervisor(drawing.box)
    traced(drawing.box, threads, [f"--inject={name}:signal=KILL:when={number}"], work)
    if supervisor_or_none(drawing.box) != before:
        return True
    drawing.back_to_before()
    return False


def supervisor_or_none(box: Box) -> int:
    try:
        return supervisor(box)
    except (OSError, AssertionError):
        return 0


def test_apply(drawing: Drawing) -> None:
    drawing.box.put("/data/after.yaml", drawing.after)
    command = ("appliance", "apply", "/data/after.yaml")
    killed(drawing, "apply", lambda: None, lambda: drawing.box.run(*command, check=False))


def on_trial(drawing: Drawing) -> None:
    drawing.box.put("/data/after.yaml", drawing.after)
    drawing.box.run("appliance", "apply", "/data/after.yaml")


def test_apply_beside_the_main_thread(drawing: Drawing) -> None:
    """One thread has systemd end the trial in time, another writes it to the disk; strace counts each one's calls."""

    def both_wait() -> None:
        def two() -> bool:
            on_trial(drawing)
            drawing.box.run("appliance", "rollback")
            return len(other_threads(supervisor(drawing.box))) >= 2

        wait_for(two, 20, "a thread for the disk and one for systemd")

    command = ("appliance", "apply", "/data/after.yaml")
    killed(
        drawing,
        "apply, beside the main thread",
        both_wait,
        lambda: drawing.box.run(*command, check=False),
        other_threads,
    )


def test_confirm(drawing: Drawing) -> None:
    killed(
        drawing,
        "confirm",
        lambda: on_trial(drawing),
        lambda: drawing.box.run("setsid", "--wait", "appliance", "confirm", check=False),
    )


def test_rollback(drawing: Drawing) -> None:
    killed(
        drawing,
        "rollback",
        lambda: on_trial(drawing),
        lambda: drawing.box.run("appliance", "rollback", check=False),
    )


def test_bundle_apply(drawing: Drawing) -> None:
    box = drawing.box

    def brought() -> None:
        (box.data / "it.bundle").write_bytes(drawing.signers.bundle(drawing.after))

    command = ("appliance", "bundle", "apply", "/data/it.bundle")
    killed(drawing, "bundle apply", brought, lambda: box.run(*command, check=False))
    assert "outcome" in (box.data / "appliance/receipt.yaml").read_text()
