"""Each folder below cases/ is a sentence: an appliance.yaml, and what each box of the pair gets from it.

How the files are written anew stands in cases.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.core.pair.addresses import pair_addresses, pair_endpoints
from appliance.core.pair.files import pair_files
from appliance.core.pair.keepalived import keepalived_conf
from appliance.core.pair.routing import pair_rules
from tests.unit.pair.cases import CASES, loaded, rendered

BY_NAME = [case.name for case in CASES]
PAIRS = [case for case in CASES if rendered(case)]
PAIR_NAMES = [case.name for case in PAIRS]


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_files_are_those_that_were_reviewed(case: Path) -> None:
    reviewed = {
        str(path.relative_to(case)): path.read_text(encoding="utf-8") for path in case.glob("*/*") if path.is_file()
    }
    assert rendered(case) == reviewed


@pytest.mark.parametrize("case", PAIRS, ids=PAIR_NAMES)
def test_what_one_box_says_the_other_one_believes(case: Path) -> None:
    """Same instances, same numbers, same moving addresses; sources and peers crossed."""
    config = loaded(case)
    texts = [keepalived_conf(config, box) for box in config.boxes]
    own, peers = (
        [re.findall(pattern, text, re.MULTILINE) for text in texts]
        for pattern in (r"unicast_src_ip (\S+)$", r"^ +(\S+) min_ttl 255$")
    )
    assert own[0] == peers[1]
    assert own[1] == peers[0]
    for word in ("vrrp_instance", "virtual_router_id", "advert_int", "state"):
        first, second = (re.findall(rf"^ *{word} .*$", text, re.MULTILINE) for text in texts)
        assert first == second
    first, second = (
        re.findall(r"^ +(\S+/\d+) dev \S+(?: preferred_lft 0| no_track)?$", text, re.MULTILINE) for text in texts
    )
    assert first == second


@pytest.mark.parametrize("case", PAIRS, ids=PAIR_NAMES)
def test_priorities_are_even_on_all_networks_and_differ_between_the_boxes(case: Path) -> None:
    """RFC 9568 says it per instance; a sync group with mixed priorities never rests (keepalived.conf(5))."""
    config = loaded(case)
    found = [set(re.findall(r"^ +priority (\d+)$", keepalived_conf(config, box), re.MULTILINE)) for box in config.boxes]
    assert config.failover
    assert sorted(found, key=str) == ([{"150"}, {"154"}] if config.failover.prefer else [{"149"}, {"150"}])


@pytest.mark.parametrize("case", PAIRS, ids=PAIR_NAMES)
def test_every_moving_address_is_in_exactly_one_instance(case: Path) -> None:
    config = loaded(case)
    assert config.failover
    wanted = sorted(str(one) for addresses in config.failover.virtual_addresses.values() for one in addresses)
    for box in config.boxes:
        found = re.findall(
            r"^ +(\S+/\d+) dev \S+(?: preferred_lft 0| no_track)?$", keepalived_conf(config, box), re.MULTILINE
        )
        assert sorted(found) == wanted


@pytest.mark.parametrize("case", PAIRS, ids=PAIR_NAMES)
def test_the_link_between_them_is_the_same_seen_from_both_sides(case: Path) -> None:
    config = loaded(case)
    first, second = config.boxes
    assert pair_addresses(config, first) == pair_addresses(config, second)[::-1]
    endpoints = pair_endpoints(config, first)
    assert endpoints
    assert endpoints == (pair_endpoints(config, second) or ())[::-1]


def test_a_box_alone_has_nothing_of_it() -> None:
    for case in set(CASES) - set(PAIRS):
        config = loaded(case)
        for box in config.boxes:
            assert pair_files(config, box) == {}
            assert pair_rules(config, box) == ()
            assert pair_endpoints(config, box) is None


def test_there_are_cases() -> None:
    assert len(PAIRS) >= 6
    assert len(CASES) - len(PAIRS) >= 2
