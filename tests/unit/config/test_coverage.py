"""Needless rules, against an oracle that takes every rule apart into all that it lets pass."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from appliance.core.lint import coverage
from appliance.core.lint.site import Site
from tests.unit.config.examples import OFFICE, PROPERTY, key, parsed

PEERS = f"""\
tunnels:
  office:
    addresses: [10.20.0.1/24]
    peers:
      a: {{public_key: {key(1)}, address: 10.20.0.2}}
      b: {{public_key: {key(2)}, address: 10.20.0.3}}
"""
ZONES = {"lan": {"lan"}, "office": {"a", "b", "c"}, "office.a": {"a"}, "office.b": {"b"}}
HOSTS = {
    "": {0, 1, 2, 3, 9},
    "192.168.10.0/30": {0, 1, 2, 3},
    "192.168.10.2/31": {2, 3},
    "192.168.10.3": {3},
    "192.168.10.0, 192.168.10.3": {0, 3},
}
PORTS = {
    "": {"22", "80", "81", "443", "u443", "ping", "others"},
    "ports: [tcp/80-443]": {"80", "81", "443"},
    "ports: [tcp/80, tcp/81]": {"80", "81"},
    "ports: [tcp/443]": {"443"},
    "services: [https]": {"443", "u443"},
    "services: [ssh, ping]": {"22", "ping"},
    "services: [ping]": {"ping"},
}

Rule = tuple[str, str, str, str]
rules = st.lists(st.tuples(*(st.sampled_from(list(words)) for words in (ZONES, ZONES, HOSTS, PORTS))), max_size=7)


def text(rule: Rule) -> str:
    source, target, host, ports = rule
    parts = [f"from: {source}", f"to: {target}", f"hosts: [{host}]" if host else "", ports]
    return f"    - {{{', '.join(filter(None, parts))}}}\n"


def passes(rule: Rule) -> set[tuple[str, str, int, str]]:
    source, target, host, ports = rule
    return set(product(ZONES[source], ZONES[target], HOSTS[host], PORTS[ports]))


def needless(written: list[Rule]) -> set[int]:
    allow = "firewall:\n  allow:\n" + "".join(map(text, written)) if written else ""
    return {int(problem.path[2]) for problem in coverage.lint(Site(parsed(OFFICE + PEERS + allow)))}


@PROPERTY
@given(rules)
def test_what_can_go_changes_nothing(written: list[Rule]) -> None:
    gone = needless(written)
    before = set().union(*map(passes, written))
    after = set().union(*(passes(rule) for index, rule in enumerate(written) if index not in gone))
    assert before == after


@PROPERTY
@given(rules)
def test_what_one_other_rule_allows_can_go(written: list[Rule]) -> None:
    gone = needless(written)
    for one, other in product(range(len(written)), repeat=2):
        narrow, wide = passes(written[one]), passes(written[other])
        if narrow < wide or (narrow == wide and other < one):
            assert one in gone


def test_more_cells_than_anybody_waits_for() -> None:
    ports = ", ".join(f"tcp/{port}" for port in range(1, 2000))
    hosts = ", ".join(f"192.168.{number // 250}.{number % 250}" for number in range(2000))
    assert not needless([("lan", "office", hosts, f"ports: [{ports}]")] * 3)
