"""Linting takes time in proportion to the file, and strange files do not take for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from appliance.core.lint import lint
from appliance.core.model import Config
from tests.unit.config.examples import OFFICE, key, large, parsed


def seconds(config: Config, times: int) -> float:
    """The best of a few runs, counted in processor time: what else the machine does should not fail a test."""

    def once() -> float:
        start = time.process_time()
        lint(config)
        return time.process_time() - start

    return min(once() for _ in range(times))


def test_ten_times_the_file_takes_about_ten_times_as_long() -> None:
    """Comparing every rule with every other would take a hundred times as long."""
    small, config = parsed(large(100, 100)), parsed(large(1000, 1000))
    assert lint(config) == []
    assert seconds(config, 5) < 40 * seconds(small, 20)


def rules(line: Callable[[int], str]) -> str:
    return large(1000, 0).replace("  allow:\n", "  allow:\n" + "".join(f"    - {line(n)}\n" for n in range(3000)))


def one_network_everywhere() -> str:
    peers = "".join(f"      p{n}: {{public_key: {key(n)}, networks: [172.16.0.0/24]}}\n" for n in range(3000))
    return OFFICE + "tunnels:\n  office:\n    addresses: [10.20.0.1/16]\n    peers:\n" + peers


@pytest.mark.parametrize(
    "text",
    [
        rules(lambda n: f"{{from: lan, to: wan, ports: [tcp/{n + 1}]}}"),
        rules(lambda n: f"{{from: lan, to: wan, ports: [tcp/{n + 1}-{65535 - n}]}}"),
        rules(lambda n: f"{{from: lan, to: wan, hosts: [198.{n // 250}.{n % 250}.0/24]}}"),
        rules(lambda n: "{from: lan, to: wan}"),
        rules(lambda n: f"{{from: office.q{n}, to: offise{n}}}"),
        one_network_everywhere(),
    ],
    ids=["ports", "nested-ranges", "hosts", "the-same", "unknown-zones", "one-network-everywhere"],
)
def test_a_strange_file_does_not_take_for_ever(text: str) -> None:
    assert seconds(parsed(text), 1) < 5
