"""Goes through all faults: two offices and a pair side by side, since the doctor mostly waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.lab import Lab
from tests.labs.faults import box, far_end, office, pair, traffic, uplink
from tests.labs.faults.case import Answer, Case, asked
from tests.labs.office import Office
from tests.labs.pair import Duo

__all__ = ["CASES", "box", "far_end", "rounds", "traffic", "uplink"]

CASES: list[Case[Any]] = [*office.OFFICE_CASES, *pair.PAIR_CASES]
OFFICES = 2

type Results = dict[str, Future[Answer]]


@contextmanager
def rounds() -> Iterator[Results]:
    """By fault what the doctor said of it, as soon as it was asked; a place that could not be built fails all its."""
    results: Results = {case.fault: Future() for case in CASES}
    # Those that are asked again and again begin.
    faults = deque(sorted(office.OFFICE_CASES, key=lambda case: -case.patience))
    places: list[tuple[str, Callable[[Lab], Any], Callable[[Any], None], deque[Case[Any]]]] = [
        ("doctor-pair", _pair, pair.well, deque(pair.PAIR_CASES)),
        *((f"doctor-office-{number + 1}", _office, office.well, faults) for number in range(OFFICES)),
    ]
    with ThreadPoolExecutor(len(places)) as pool:
        for place in places:
            pool.submit(_round, *place, results)
        yield results


def _office(lab: Lab) -> Office:
    return Office(lab).build().go_online()


def _pair(lab: Lab) -> Duo:
    return Duo(lab).build().boot()


def _round(
    name: str,
    build: Callable[[Lab], Any],
    well: Callable[[Any], None],
    cases: deque[Case[Any]],
    results: Results,
) -> None:
    with Lab(name) as lab:
        where, broken = None, None
        while cases:
            case = cases.popleft()
            lab.log.line(f"---- {case.fault}")
            try:
                where = where or build(lab)
                well(where)
                answer = asked(case, where)
            except Exception as error:  # whatever went wrong is the test's to tell
                results[case.fault].set_exception(error)
                broken = error
                continue
            lab.log.line(f"[doctor] {', '.join(answer.causes) or 'nothing'} after {answer.seconds:.1f} s")
            lab.log.output(answer.said)
            results[case.fault].set_result(answer)
            broken = broken or (None if answer.answers(case) else AssertionError(case.fault))
        if broken:
            lab.log.section("failed", str(broken))
            lab.dump()
