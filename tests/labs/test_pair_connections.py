"""A thousand TCP connections live through every switchover and every return, IPv6 beside IPv4.

The drawing stands in tests/labs/pair.py, its IPv6 in tests/labs/dual_stack.py.
LAB_SWITCHOVERS (2) is how often the role leaves alpha, half of the times by a power cut, and comes back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

from tests.lab import Connections, Lab, Probe, wait_for
from tests.labs.dual_stack import BRANCH6, HOST6, INTERNET6, YAML6, DualStack
from tests.labs.pair import HOST, LAPTOP, Duo, hand_over, pair, prefer_alpha

SWITCHOVERS = int(os.environ.get("LAB_SWITCHOVERS", "2"))
LONGEST_MS = float(os.environ.get("LAB_LONGEST_MS", "2000"))
"""No probe may wait for so long; what is usual is printed."""

SERVER = "203.0.113.1"


def flows(duo: Duo) -> dict[str, tuple]:  # type: ignore[type-arg]
    return {
        "laptop→host": (duo.laptop, duo.host, HOST),
        "host→laptop": (duo.host, duo.laptop, LAPTOP),
        "branch→host": (duo.branch, duo.host, HOST),
        "host→internet": (duo.host, duo.internet, SERVER),
        "laptop→host IPv6": (duo.laptop, duo.host, HOST6),
        "host→branch IPv6": (duo.host, duo.branch, BRANCH6),
        "host→internet IPv6": (duo.host, duo.internet, INTERNET6),
    }


class Office:
    """The connections, the probes beside them, and what became of both."""

    def __init__(self, duo: Duo, stack: ExitStack) -> None:
        self.duo = duo
        self.connections = {
            name: stack.enter_context(Connections(*flow, 160 if name == "host→internet" else 140))
            for name, flow in flows(duo).items()
        }
        for each in self.connections.values():
            each.opened()
        self.gaps: dict[str, list[float]] = {name: [] for name in self.connections}

    @property
    def number(self) -> int:
        return sum(each.number for each in self.connections.values())

    def go_on(self) -> None:
        """Every single one moves something more than now, and none has ended."""
        before = {name: each.report for name, each in self.connections.items()}

        def all_moved() -> bool:
            return all(
                all(now > then for now, then in zip(each.report.moved, before[name].moved, strict=True))
                for name, each in self.connections.items()
            )

        try:
            wait_for(all_moved, 60, "every connection has moved something", 0.2)
        finally:
            ended = {name: each.report.ended for name, each in self.connections.items() if each.report.ended}
            assert not ended, {name: (len(why), why[0]) for name, why in ended.items()}

    def lives_through(self, event: str, happens: Callable[[], None]) -> None:
        with ExitStack() as stack:
            probes = {name: stack.enter_context(Probe(*flow, 0.01)) for name, flow in flows(self.duo).items()}
            for probe in probes.values():
                probe.flowing(timeout=30, packets=20)
            happens()
            for probe in probes.values():
                probe.flowing(timeout=30, packets=50)
        gaps = {name: probe.report.longest_gap_ms for name, probe in probes.items()}
        for name, gap in gaps.items():
            self.gaps[name].append(gap)
        print(f"{event}: longest gap in ms: {', '.join(f'{name} {gap:.0f}' for name, gap in gaps.items())}")
        assert max(gaps.values()) <= LONGEST_MS, gaps
        self.go_on()


def test_a_thousand_connections_live_through_switchovers_and_returns() -> None:
    assert "WAY" not in YAML6
    with Lab("pair-connections", __doc__ or "") as lab, ExitStack() as stack:
        duo = DualStack(lab).build().boot()
        prefer_alpha(duo)
        for source, _, address in flows(duo).values():
            source.ping(address, timeout=20)
        office = Office(duo, stack)
        assert office.number == 1000
        office.go_on()

        def give_away() -> None:
            hand_over(duo.alpha, "bravo")
            duo.settled(duo.bravo)

        def give_back() -> None:
            hand_over(duo.bravo, "alpha")
            duo.settled(duo.alpha, 60)

        def die() -> None:
            duo.alpha.power_cut()
            wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")

        def return_home() -> None:
            duo.alpha.boot()
            prefer_alpha(duo)

        for number in range(SWITCHOVERS):
            away, back = (die, return_home) if number % 2 else (give_away, give_back)
            office.lives_through(f"{number + 1}: {away.__name__}", away)
            office.lives_through(f"{number + 1}: {back.__name__}", back)
            prefer_alpha(duo)
        print(f"{office.number} connections, {SWITCHOVERS} switchovers, {SWITCHOVERS} returns: none was reset or ended")
        for name, gaps in office.gaps.items():
            print(f"{name}: longest gap in ms, median {sorted(gaps)[len(gaps) // 2]:.0f}, worst {max(gaps):.0f}")
