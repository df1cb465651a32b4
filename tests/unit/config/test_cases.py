"""Each folder in cases/ is one sentence about a configuration: the file, and the lines that `check` prints for it.

A folder whose name begins with `sound-` looks unusual and is right; its expected.txt is empty. How the expected
lines are written anew stands in cases.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.cases import CASES, printed


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    found = printed(folder)
    assert found == (folder / "expected.txt").read_text(encoding="utf-8")
    assert bool(found) != folder.name.startswith("sound-")


def test_there_are_cases() -> None:
    assert len(CASES) >= 45
