"""The case folders, and what `check` prints for one.

`python3 -m tests.unit.config.cases`, run from the top of the checkout, writes every expected.txt anew; the diff is
for a person to read. It is a command and not a test, since unit tests may not write into the checkout.
"""

from __future__ import annotations

from pathlib import Path

from appliance.core.check import check
from appliance.core.problems import ConfigurationError

CASES = sorted(folder for folder in (Path(__file__).parent / "cases").iterdir() if folder.is_dir())


def printed(folder: Path) -> str:
    """The lines of `appliance check appliance.yaml` in this folder; nothing when the file is sound."""
    try:
        check((folder / "appliance.yaml").read_bytes())
    except ConfigurationError as error:
        return "".join(problem.line("appliance.yaml") + "\n" for problem in error.problems)
    return ""


if __name__ == "__main__":
    for case in CASES:
        (case / "expected.txt").write_text(printed(case), encoding="utf-8")
