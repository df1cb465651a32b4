"""Each folder below cases/ is a sentence: an appliance.yaml, and the ruleset that box alpha gets from it.

How the rulesets are written anew stands in cases.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.firewall.cases import CASES, rendered

BY_NAME = [case.name for case in CASES]
LONGEST_COMMENT = 128
COMMENT = "written by appliance from appliance.yaml; edits by hand are undone"


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_ruleset_is_the_one_that_was_reviewed(case: Path) -> None:
    assert rendered(case) == (case / "alpha.nft").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_only_our_table_is_named(case: Path) -> None:
    statements = [line for line in rendered(case).splitlines() if line and line[0] not in " #}"]
    made = f'table inet appliance {{ comment "{COMMENT}"; }}'
    assert statements == [made, "flush table inet appliance", "table inet appliance {"]


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
            closes_a_map = line.strip() == "} accept"
            assert ' comment "' in line or closes_a_map, line


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


def test_there_are_cases() -> None:
    assert len(CASES) >= 17
