"""The same answers always give the same appliance.yaml, and one that `check` accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.core.check import check
from tests.unit.setup.cases import CASES, outcome


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    name, text = outcome(folder)
    assert (name == "expected.txt") == folder.name.startswith("refused-")
    assert text == (folder / name).read_text(encoding="utf-8")
    if name == "appliance.yaml":
        check(text.encode())


def test_there_are_cases() -> None:
    assert len(CASES) >= 10
