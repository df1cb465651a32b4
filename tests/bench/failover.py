"""What the office notices when a box fails: ours beside a plain keepalived + wg-quick pair (sudo make bench-failover).

Both pairs stand in the same drawing (tests/labs/pair.py) on the same host, and each event happens to them in turn, in
the same run. A numbered packet every 5 ms in each of four flows, with ours in three of IPv6 as well
(tests/labs/dual_stack.py); what counts is the longest time in ms without an answer, in the worst of them. A flow that
does not run again within 40 s counts as 40,000 ms and as not recovered.
Branch, laptop and the internet's server stand behind lines of 10 ms each way (BENCH_DELAY_MS), so a round trip to a
peer takes 20 ms. The plain pair needs 15 s and more for what it recovers from at all, so it has fewer runs
(BENCH_PLAIN_RUNS). With BENCH_ONE_ADDRESS=1 our boxes have one public address between them, as most offices, and none
of their own beside it. What was measured is kept in build/failover-runs.jsonl, and BENCH_RESUME=1 goes on from there.

    BENCH_RUNS=20 BENCH_PLAIN_RUNS=3 python3 -m tests.bench.failover [EVENT...]
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from tests.bench.figures import Bench
from tests.bench.plain_pair import PlainPair
from tests.lab import Box, Lab, Node, Probe, wait_for
from tests.labs.dual_stack import BRANCH6, HOME6, HOST6, ONE_ADDRESS6, YAML6, DualStack
from tests.labs.pair import HOST, LAPTOP, Surroundings, hand_over, has_virtual, pair, prefer_alpha, ready

PLAIN = "keepalived 1 s + wg-quick on both"
NOTHING = "no event at all"
SERVER = "192.0.2.2"
"""In the internet, behind a line."""
GIVE_UP = 40.0
"""Seconds after an event until a flow that does not run counts as lost."""
INTERVAL = 0.005
"""Seconds between two packets of a flow."""
SUCCESSOR = 3.0
"""Seconds that a killed supervisor's successor is watched, and the same pair with no event."""
ALL_RUN = 100
"""Answers, so half a second's, by which a flow is known to run."""

OFFICE = ONE_ADDRESS6 if os.environ.get("BENCH_ONE_ADDRESS") == "1" else YAML6
DELAY_MS = float(os.environ.get("BENCH_DELAY_MS", "10"))
STALL = 1.5
"""Seconds for which a master stands still."""
SPLIT = 3.0
"""Seconds for which the boxes do not hear each other."""
KEPT = Path("build/failover-runs.jsonl")
TROUBLE = Path("build/failover-trouble.log")
"""What the boxes said of themselves whenever a pair did not come out of an event as it should."""

REACH_MS = {
    "power-cut": 250, "wan-cable": 250, "lan-cable": 250, "planned": 100, "keepalived-killed": 100,
    "stall": 600, "reboot": 100,
}  # fmt: skip
"""What the product is to reach in 95 of 100 cases, in ms, at a round trip of 20 ms."""
OURS_ONLY = ("supervisor-killed", "engine-killed", "stall", "pair-network", "split", "both-boot", "reboot")
EVENTS = ("power-cut", "return", "planned", "keepalived-killed", "wan-cable", "lan-cable", *OURS_ONLY)
"""In this order: `return` is the preferred box booting after the power cut before it.

pair-network: the boxes do not hear each other inside, but outside; split: neither inside nor outside; both for SPLIT,
then healed. both-boot: the power is back for both at once. reboot: the master is told to go down (systemctl), and is
off.
"""


@dataclass(frozen=True)
class Outage:
    """Longest gaps of one event in ms by flow; GIVE_UP for one that did not run again."""

    gaps: dict[str, float]
    recovered: bool
    lost: int
    """Packets without an answer, in the flow that lost most."""

    @property
    def worst(self) -> float:
        return max(self.gaps.values())

    @property
    def flow(self) -> str:
        return max(self.gaps, key=lambda name: self.gaps[name])


class Side(Protocol):
    """One of the two pairs. Events happen to alpha, which is preferred and master."""

    def start(self) -> Surroundings: ...

    def prepare(self, event: str) -> None:
        """What has to be so before the event."""

    def strike(self, event: str) -> None:
        """Makes the event happen, and returns when the role has moved (or, where it need not, did not)."""

    def restore(self, event: str) -> None:
        """Puts the pair back as it was before the event; AssertionError where it does not get there."""

    def said(self) -> str:
        """What explains why it did not."""

    def stop(self) -> None: ...


class Ours:
    def __init__(self) -> None:
        self.stack = ExitStack()

    def start(self) -> Surroundings:
        lab = self.stack.enter_context(Lab("bench-failover-ours"))
        self.duo = DualStack(lab, yaml=OFFICE, delay_ms=DELAY_MS).build().boot()
        self._ready()
        return self.duo

    def prepare(self, event: str) -> None:
        """A box that lost the role time and again is not to have it back; a person's handover forgives that."""
        if event == "power-cut":
            hand_over(self.duo.alpha, "bravo")
            ready(self.duo.alpha)
            hand_over(self.duo.bravo, "alpha")
            self._ready()

    def strike(self, event: str) -> None:
        alpha = self.duo.alpha
        match event:
            case "power-cut":
                alpha.power_cut()
                self._moved(self.duo.bravo)
            case "return":
                alpha.boot()
                _moved(alpha, self.duo.bravo)
            case "planned":
                alpha.run("appliance", "handover")
                self._moved(self.duo.bravo)
            case "keepalived-killed":
                alpha.sh("kill -9 $(pgrep -x keepalived)")
                self._moved(self.duo.bravo)
            case "wan-cable":
                alpha.links[0].cut()
                self._moved(self.duo.bravo)
            case "lan-cable":
                alpha.links[1].cut()
                self._moved(self.duo.bravo)
            case "supervisor-killed":
                alpha.sh("kill -9 $(systemctl show --property=MainPID --value appliance)")
                time.sleep(SUCCESSOR)  # asking it meanwhile would be load of our own
            case "engine-killed":
                alpha.sh("kill -9 $(systemctl show --property=MainPID --value appliance-engine@wg-office)")
            case "stall":
                alpha.freeze()
                time.sleep(STALL)
                alpha.thaw()
            case "pair-network" | "split":
                links = (0, 1) if event == "split" else (1,)
                for on in (True, False):
                    for number in links:
                        ports = [box.links[number].port for box in (alpha, self.duo.bravo)]
                        alpha.links[number].switch.isolate(ports, on)
                    if on:
                        time.sleep(SPLIT)
            case "reboot":
                # Off, as a container cannot start itself again.
                alpha.run("systemctl", "--no-block", "poweroff")
                self._moved(self.duo.bravo)
                wait_for(lambda: not alpha.running, GIVE_UP, "alpha is off")
            case "both-boot":
                for box in (alpha, self.duo.bravo):
                    box.power_cut()
                with ThreadPoolExecutor(2) as pool:
                    list(pool.map(Box.boot, (alpha, self.duo.bravo)))

    def _moved(self, to: Box) -> None:
        wait_for(lambda: has_virtual(to), GIVE_UP, f"{to.name} has the virtual address")

    def restore(self, event: str) -> None:
        if event == "power-cut":
            return
        if event == "reboot":
            self.duo.alpha.power_cut()
            self.duo.alpha.boot()
        for link in self.duo.alpha.links:
            link.mend()
        if event == "planned":
            ready(self.duo.alpha)
            self.duo.bravo.run("appliance", "handover")
        self._ready()

    def _ready(self) -> None:
        """Alpha has the role. That it lost it again and again is forgiven, as a person would."""
        prefer_alpha(self.duo)
        _reach(self.duo)

    def said(self) -> str:
        boxes = [box for box in (self.duo.alpha, self.duo.bravo) if box.running]
        seen = "wg show all; ss -nulp; ip -6 address show dev wg-pair; ip -6 route; journalctl -u appliance -n 50"
        return "".join(f"{box.name}: {json.dumps(pair(box))}\n{box.sh(seen, check=False)}\n" for box in boxes)

    def stop(self) -> None:
        self.stack.close()


class Theirs:
    def __init__(self) -> None:
        self.stack = ExitStack()

    def start(self) -> Surroundings:
        self.pair = PlainPair(self.stack.enter_context(Lab("bench-failover-plain")), delay_ms=DELAY_MS).build()
        self.pair.restore()
        return self.pair

    def prepare(self, event: str) -> None:
        pass

    def strike(self, event: str) -> None:
        alpha, bravo = self.pair.alpha, self.pair.bravo
        match event:
            case "power-cut":
                alpha.power_cut()
            case "return":
                alpha.power_on()
                _moved(alpha.node, bravo.node)
                return
            case "planned":
                alpha.terminate()
            case "keepalived-killed":
                alpha.kill()
            case "wan-cable":
                alpha.wan.cut()
            case "lan-cable":
                alpha.lan.cut()
        wait_for(lambda: has_virtual(bravo.node), GIVE_UP, "bravo has the virtual address")

    def restore(self, event: str) -> None:
        if event != "power-cut":
            self.pair.restore()

    def said(self) -> str:
        return ""

    def stop(self) -> None:
        self.stack.close()


def _moved(to: Node, away: Node) -> None:
    wait_for(lambda: has_virtual(to) and not has_virtual(away), GIVE_UP, f"{to.name} alone has the virtual address")


def _reach(around: Surroundings) -> None:
    around.laptop.ping(HOST, timeout=20)
    around.branch.ping(HOST, timeout=20)
    around.host.ping(SERVER, timeout=20)
    if isinstance(around, DualStack):
        around.laptop.ping(HOST6, timeout=20)
        around.branch.ping(HOST6, timeout=20)
        around.host.ping(HOME6, timeout=20)


def watch(around: Surroundings, event: Callable[[], None]) -> Outage:
    """The longest gap of each flow while something happens, until all of them run again."""
    ends = {
        "laptop→host": (around.laptop, around.host, HOST),
        "host→laptop": (around.host, around.laptop, LAPTOP),
        "branch→host": (around.branch, around.host, HOST),
        "host→internet": (around.host, around.home, SERVER),
    }
    if isinstance(around, DualStack):
        ends |= {
            "laptop→host IPv6": (around.laptop, around.host, HOST6),
            "host→branch IPv6": (around.host, around.branch, BRANCH6),
            "host→internet IPv6": (around.host, around.home, HOME6),
        }
    lost: set[str] = set()
    with ExitStack() as stack:
        probes = {name: stack.enter_context(Probe(*each, INTERVAL)) for name, each in ends.items()}
        for probe in probes.values():
            probe.flowing(timeout=30, packets=ALL_RUN)
        struck = time.monotonic()
        event()
        for name, probe in probes.items():
            try:
                probe.flowing(timeout=max(1.0, struck + GIVE_UP - time.monotonic()), packets=ALL_RUN)
            except AssertionError:
                lost.add(name)
        with ThreadPoolExecutor(len(probes)) as pool:
            reports = dict(zip(probes, pool.map(Probe.stop, probes.values()), strict=True))
    gaps = {name: GIVE_UP * 1000 if name in lost else report.longest_gap_ms for name, report in reports.items()}
    return Outage(gaps, not lost, max(report.sent - report.received for report in reports.values()))


@dataclass
class Measured:
    """All runs of one event on one side."""

    outages: list[Outage] = field(default_factory=list)

    @property
    def worst(self) -> list[float]:
        return [outage.worst for outage in self.outages]

    @property
    def recovered(self) -> str:
        return f"{sum(outage.recovered for outage in self.outages)}/{len(self.outages)}"

    def __str__(self) -> str:
        return f"{statistics.median(self.worst):,.0f} ({min(self.worst):,.0f}-{max(self.worst):,.0f})"

    def percentile(self, part: float) -> float:
        """The least value that `part` of all runs stay at or below, in ms."""
        return sorted(self.worst)[math.ceil(part * len(self.outages)) - 1]

    def by_flow(self) -> str:
        names = self.outages[0].gaps
        medians = [f"{name} {statistics.median(each.gaps[name] for each in self.outages):,.0f}" for name in names]
        return f"{', '.join(medians)}; packets lost in a flow: {max(each.lost for each in self.outages)} at most"


class Contest:
    """Both sides, what was measured, and what went wrong."""

    def __init__(self, bench: Bench, events: tuple[str, ...], runs: int, plain_runs: int) -> None:
        self.bench, self.events, self.runs, self.plain_runs = bench, events, runs, plain_runs
        self.sides: dict[str, Side] = {"ours": Ours(), "theirs": Theirs()}
        self.around: dict[str, Surroundings] = {}
        self.found: dict[tuple[str, str], Measured] = {}
        self.troubles: Counter[str] = Counter()

    def run(self) -> None:
        try:
            self._load()
            for name, side in self.sides.items():
                if name == "ours" or self.plain_runs:
                    self.around[name] = side.start()
            for run in range(self.runs):
                for event in self.events:
                    # Who goes first changes from run to run.
                    for name in list(self.sides)[:: 1 if run % 2 else -1]:
                        if name == "ours" or (event not in OURS_ONLY and run < self.plain_runs):
                            self._event(run, name, event)
                    if event == "supervisor-killed":
                        self._add(run, "theirs", event, watch(self.around["ours"], lambda: time.sleep(SUCCESSOR)))
        finally:
            for side in self.sides.values():
                side.stop()

    def _load(self) -> None:
        """What earlier pieces measured, where it is asked for."""
        if os.environ.get("BENCH_RESUME") != "1":
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text("")
            TROUBLE.write_text("")
        for line in KEPT.read_text().splitlines():
            found = json.loads(line)
            side, event = found.pop("side"), found.pop("event")
            self.found.setdefault((side, event), Measured()).outages.append(Outage(**found))
            if event not in self.events:
                self.events = tuple(each for each in EVENTS if each in (*self.events, event))

    def _event(self, run: int, name: str, event: str) -> None:
        side = self.sides[name]
        troubles: list[str] = []

        def strike() -> None:
            try:
                side.strike(event)
            except AssertionError as trouble:
                troubles.append(str(trouble))

        try:
            side.prepare(event)
            self._add(run, name, event, watch(self.around[name], strike))
            side.restore(event)
        except AssertionError as trouble:
            troubles.append(f"{trouble}; that pair was built anew")
            with TROUBLE.open("a") as kept:
                print(f"run {run + 1}, {event}, {name}: {trouble}\n{side.said()}", file=kept)
            self._afresh(name, event)
        for text in troubles:
            self.troubles[f"{name}, {event}: {text.splitlines()[0]}"] += 1

    def _afresh(self, name: str, event: str) -> None:
        side = self.sides[name]
        side.stop()
        self.around[name] = side.start()
        if event == "power-cut":
            side.strike("power-cut")

    def _add(self, run: int, name: str, event: str, outage: Outage) -> None:
        self.found.setdefault((name, event), Measured()).outages.append(outage)
        with KEPT.open("a") as kept:
            print(json.dumps({"side": name, "event": event, **asdict(outage)}), file=kept)
        said = f"{outage.worst:,.0f} ms ({outage.flow})" + ("" if outage.recovered else ", NOT RECOVERED")
        self.bench.say(f"run {run + 1} of {self.runs}, {event}, {name}: {said}")

    def figures(self) -> None:
        for event in self.events:
            ours, theirs = self.found.get(("ours", event)), self.found.get(("theirs", event))
            if ours and theirs:
                peer = NOTHING if event in OURS_ONLY else PLAIN
                self.bench.lower(f"failover-{event}", "ms", ours.worst, theirs.worst, peer, 1)

    def show(self) -> None:
        """The table, the medians of each flow and what went wrong, on standard output."""
        from rich import box
        from rich.console import Console
        from rich.table import Table

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("longest gap, worst of all flows")
        titles = ("ours ms", "95 % of ours", "to reach", "back", "plain pair ms", "back", "ratio", "runs")
        for title in titles:
            table.add_column(title, justify="right", no_wrap=True)
        for event in self.events:
            ours, theirs = self.found.get(("ours", event)), self.found.get(("theirs", event))
            if not ours:
                continue
            most, reach = ours.percentile(0.95), REACH_MS.get(event)
            colour = "default" if reach is None else "green" if most <= reach else "red"
            ratio = f"{statistics.median(theirs.worst) / statistics.median(ours.worst):,.1f}" if theirs else ""
            beside = ["", ""] if not theirs else [str(theirs), theirs.recovered]
            if theirs and event in OURS_ONLY:
                beside = [f"nothing: {theirs}", ""]
            limit = f"≤ {reach:,.0f}" if reach else ""
            row = [event, str(ours), f"[{colour}]{most:,.0f}[/]", limit, ours.recovered, *beside]
            table.add_row(*row, ratio, str(len(ours.outages)))
        console.print(table)
        for (name, event), measured in self.found.items():
            who = name if name == "ours" or event not in OURS_ONLY else NOTHING
            console.print(f"  {event}, {who}, medians: {measured.by_flow()}", markup=False, soft_wrap=True)
        for text, times in self.troubles.items():
            console.print(f"  went wrong {times} times: {text}", markup=False, soft_wrap=True)
        console.print("  beside: " + PLAIN + f"; {2 * DELAY_MS:g} ms round trip to each peer", soft_wrap=True)


def main() -> int:
    events = tuple(sys.argv[1:]) or EVENTS
    if unknown := [name for name in events if name not in EVENTS]:
        print(f"bench: there is no event {unknown[0]}; write some of {', '.join(EVENTS)}", file=sys.stderr)
        return 2
    if ("power-cut" in events) != ("return" in events):
        events = tuple(each for each in EVENTS if each in {*events, "power-cut", "return"})
    bench = Bench()
    runs = int(os.environ.get("BENCH_RUNS", "5"))
    plain_runs = int(os.environ.get("BENCH_PLAIN_RUNS", "3"))
    contest = Contest(bench, tuple(each for each in EVENTS if each in events), runs, plain_runs)
    try:
        contest.run()
    except AssertionError as trouble:
        # Hours of measuring are not thrown away for a pair that could not be built.
        contest.troubles[f"the runs ended early: {trouble}"] += 1
    contest.figures()
    bench.write()
    contest.show()
    bench.say("written to build/bench.json")
    ours = [outage for (name, _), measured in contest.found.items() if name == "ours" for outage in measured.outages]
    whole = len(ours) >= contest.runs * len(contest.events)
    return 0 if whole and all(outage.recovered for outage in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
