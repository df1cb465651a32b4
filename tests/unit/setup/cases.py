"""The case folders of the setup: answers.yaml, and the appliance.yaml that follows or what is wrong (expected.txt).

`python3 -m tests.unit.setup.cases`, run from the top of the checkout, writes the expectations anew.
"""

from __future__ import annotations

from pathlib import Path

from appliance.core.document import read_document
from appliance.core.setup.questions import complete, problems, text_of
from appliance.core.setup.seen import Answers, Seen

CASES = sorted(folder for folder in (Path(__file__).parent / "cases").iterdir() if folder.is_dir())


def answers(folder: Path) -> Answers:
    return {key: str(value) for key, value in read_document((folder / "answers.yaml").read_bytes()).value.items()}


def outcome(folder: Path) -> tuple[str, str]:
    """The name of the file that holds the expectation, and its text."""
    given = answers(folder)
    whole = complete(given, Seen())
    if wrong := problems({**given, **{key: value for key, value in whole.items() if value}}, Seen()):
        return "expected.txt", "".join(f"{each}\n" for each in wrong)
    return "appliance.yaml", text_of(whole, Seen())


if __name__ == "__main__":
    for case in CASES:
        name, text = outcome(case)
        (case / name).write_text(text, encoding="utf-8")
