"""Goes through all faults: four offices and a pair side by side, since the doctor mostly waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.lab import Lab
from tests.labs.faults import box, far_end, office, pair, traffic, uplink
from tests.labs.faults.case import Answer, Case, asked
from tests.labs.office import Office
from tests.labs.pair import Duo

__all__ = ["CASES", "Results", "box", "far_end", "rounds", "traffic", "uplink"]

CASES: list[Case[Any]] = [*office.OFFICE_CASES, *pair.PAIR_CASES]

type Results = dict[str, Future[Answer]]


@dataclass
class Kind:
    """Places of one kind, which share the faults that are `left`."""

    name: str
    build: Callable[[Lab], Any]
    well: Callable[[Any], None]
    """Waits until nothing is wrong there."""
    left: deque[Case[Any]]
    places: int

    def next(self) -> Case[Any] | None:
        try:
            return self.left.popleft()
        except IndexError:
            return None

    def give_up(self, error: Exception, results: Results) -> None:
        """One place is broken; the last one takes what is left with it."""
        self.places -= 1
        while not self.places and (case := self.next()):
            results[case.fault].set_exception(error)


@contextmanager
def rounds() -> Iterator[Results]:
    """By fault what the doctor said of it, as soon as it was asked."""
    results: Results = {case.fault: Future() for case in CASES}
    # Those that are asked again and again begin.
    faults = sorted(office.OFFICE_CASES, key=lambda case: -case.patience)
    kinds = (
        Kind("pair", lambda lab: pair.online(Duo(lab)), pair.well, deque(pair.PAIR_CASES), 1),
        Kind("office", lambda lab: Office(lab).build().go_online(), office.well, deque(faults), 4),
    )
    with ThreadPoolExecutor() as pool:
        try:
            for kind in kinds:
                for number in range(kind.places):
                    pool.submit(_round, kind, f"doctor-{kind.name}-{number + 1}", results)
            yield results
        finally:
            for kind in kinds:
                kind.left.clear()


def _round(kind: Kind, name: str, results: Results) -> None:
    wrong = ""
    with Lab(name) as lab:
        try:
            where = kind.build(lab)
            kind.well(where)
            while case := kind.next():
                wrong = _judged(lab, case, where, results) or wrong
                kind.well(where)
        except Exception as error:  # what is left is the other place's, or the tests' to tell
            kind.give_up(error, results)
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            lab.log.section("failed", wrong)
            lab.dump()


def _judged(lab: Lab, case: Case[Any], where: Any, results: Results) -> str:
    """What was wrong with the answer."""
    lab.log.line(f"---- {case.fault}")
    try:
        answer = asked(case, where)
    except Exception as error:  # a fault that could not be made is that test's to tell
        results[case.fault].set_exception(error)
        return f"{case.fault}: {error}"
    lab.log.line(f"[doctor] {', '.join(answer.causes) or 'nothing'} after {answer.seconds:.1f} s")
    lab.log.output(answer.said)
    results[case.fault].set_result(answer)
    return "" if answer.answers(case) else f"{case.fault}: {answer.said}"
