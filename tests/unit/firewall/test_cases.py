"""Each folder below cases/ is a sentence: an appliance.yaml, and the ruleset that box alpha gets from it.

`GOLDEN=1 pytest tests/unit/firewall` writes the rulesets anew; the difference is for people to read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from appliance.core.document import read_document
from appliance.core.firewall import render
from appliance.core.model import Config

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())
BY_NAME = [case.name for case in CASES]
LONGEST_COMMENT = 128


def rendered(case: Path) -> str:
    document = read_document((case / "appliance.yaml").read_bytes())
    config = Config.model_validate(document.value)
    return render(
        config, "alpha", lambda path: document.mark(path).line, offload=case.name.startswith("offload")
    )


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_ruleset_is_the_one_that_was_reviewed(case: Path) -> None:
    text = rendered(case)
    golden = case / "alpha.nft"
    if os.environ.get("GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_only_our_table_is_named(case: Path) -> None:
    statements = [line for line in rendered(case).splitlines() if line and line[0] not in " #}"]
    assert statements == ["table inet appliance {}", "delete table inet appliance", "table inet appliance {"]


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_both_filters_drop_what_no_rule_accepts(case: Path) -> None:
    text = rendered(case)
    for hook in ("input", "forward"):
        assert text.count(f"type filter hook {hook} priority filter; policy drop;") == 1


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_every_rule_that_decides_says_why(case: Path) -> None:
    """Long maps close with `} accept`; their elements carry the comments."""
    for line in rendered(case).splitlines():
        if re.search(r"\b(accept|drop|masquerade)\b(?!;)", line.partition(' comment "')[0]):
            closes_a_map = line.strip() in ("} accept",)
            answers = "ct state vmap" in line
            assert ' comment "' in line or closes_a_map or answers, line


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_a_line_that_is_named_holds_what_is_said_about_it(case: Path) -> None:
    lines = (case / "appliance.yaml").read_text().splitlines()
    named = re.findall(r"firewall\.(allow|port_forwards)\[\d+\], line (\d+)", rendered(case))
    for key, line in named:
        assert ("from:" if key == "allow" else "port:") in lines[int(line) - 1]


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_no_comment_is_longer_than_nft_allows(case: Path) -> None:
    for text in re.findall(r'comment "([^"]*)"', rendered(case)):
        assert len(text.encode()) <= LONGEST_COMMENT
