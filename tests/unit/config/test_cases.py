"""Each folder in cases/ is one sentence about a configuration: the file, and the lines that `check` prints for it.

A folder whose name begins with `sound-` looks unusual and is right; its expected.txt is empty.
`GOLDEN=1` (make golden) writes the expected lines anew; the diff is for a person to read.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.core.check import check
from appliance.core.problems import ConfigurationError

CASES = sorted(folder for folder in (Path(__file__).parent / "cases").iterdir() if folder.is_dir())


def lines(content: bytes) -> str:
    try:
        check(content)
    except ConfigurationError as error:
        return "".join(problem.line("appliance.yaml") + "\n" for problem in error.problems)
    return ""


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    found = lines((folder / "appliance.yaml").read_bytes())
    expected = folder / "expected.txt"
    if os.environ.get("GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")
    assert bool(found) != folder.name.startswith("sound-")


def test_there_are_cases() -> None:
    assert len(CASES) >= 45
