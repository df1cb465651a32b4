"""Something is wrong, and `appliance doctor` says what: each fault is made in a running office or pair, and the answer
read; where nothing is wrong, nothing is named.

The faults stand in tests/labs/faults, the drawings in tests/labs/office.py and tests/labs/pair.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.labs.faults.case import Case
from tests.labs.faults.rounds import CASES, Results, rounds

SECONDS = 25
"""The doctor's longest: 12 of listening, and what is asked after it."""


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    with rounds() as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=[case.fault for case in CASES])
def test_the_fault_is_named_and_nothing_else(case: Case[Any], results: Results) -> None:
    answer = results[case.fault].result(timeout=300)
    print(f"{answer.seconds:.1f} s: {answer.said}")
    assert (answer.causes, answer.about) == (case.causes, case.about or answer.about)
    assert case.said in answer.said
    assert answer.seconds < SECONDS
