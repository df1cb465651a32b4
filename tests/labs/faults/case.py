"""One fault, how it is made, and what the doctor is to say of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.lab import Box

type Making[T] = Callable[[T], Iterator[Box]]


@dataclass(frozen=True)
class Case[T]:
    """`made(where)` makes the fault in an office or a pair, and gives the box that is asked.

    `causes` and `about` are all that is to be named; `said` stands somewhere in the answer. `patience`: seconds for
    which it is asked again, where nobody can know more before somebody calls.
    """

    fault: str
    made: Callable[[T], AbstractContextManager[Box]]
    causes: tuple[str, ...]
    about: tuple[str, ...]
    said: str
    patience: float


@dataclass(frozen=True)
class Answer:
    """`said`: every sentence, piece of evidence and remedy, as one text. `seconds`: what the doctor took."""

    causes: tuple[str, ...]
    about: tuple[str, ...]
    said: str
    seconds: float

    def answers(self, case: Case[Any]) -> bool:
        about = not case.about or self.about == case.about
        return self.causes == case.causes and about and case.said in self.said


def doctor(box: Box) -> Answer:
    started = time.monotonic()
    done = box.run("appliance", "doctor", "--json", check=False, timeout=60)
    seconds = time.monotonic() - started
    assert done.returncode in (0, 2), done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert bool(findings) == (done.returncode == 2)
    said = "\n".join(f"{each['sentence']} {each['evidence']} {each['remedy']}" for each in findings)
    causes, about = (tuple(each[key] for each in findings) for key in ("cause", "about"))
    return Answer(causes, about, said or "nothing wrong was found", seconds)


def asked(case: Case[Any], where: Any) -> Answer:
    """Makes the fault, asks the doctor, and takes the fault away."""
    with case.made(where) as box:
        end = time.monotonic() + case.patience
        while not (found := doctor(box)).answers(case) and time.monotonic() < end:
            pass
    return found


class Cases[T](list[Case[T]]):
    """Those of one kind of place, in the order in which they are written down."""

    def fault(
        self, fault: str, *causes: str, about: tuple[str, ...] = (), said: str = "", patience: float = 0
    ) -> Callable[[Making[T]], Making[T]]:
        """Before a generator that makes the fault, yields the box to ask, and takes the fault away."""

        def add(made: Making[T]) -> Making[T]:
            self.append(Case(fault, contextmanager(made), causes, about, said, patience))
            return made

        return add
