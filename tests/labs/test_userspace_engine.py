"""The bundled engine keeps the contract that both engines keep (tests/labs/engine_contract.py)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from appliance.adapters.engine import Engine
from appliance.adapters.userspace_engine import SOCKETS, UserspaceEngine
from tests.lab import wait_for
from tests.labs import engine_contract
from tests.labs.engine_contract import CONTRACT
from tests.labs.own_network import in_own_network

ENGINE = UserspaceEngine(lambda private: f"public of {private.hex()[:8]}")


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
def test_contract(clause: Callable[[Engine, str], None]) -> None:
    @in_own_network
    def kept() -> None:
        process = subprocess.Popen(
            ["wireguard-go", "-f", "wg-test"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for((SOCKETS / "wg-test.sock").exists, 5, "the engine listens")
            clause(ENGINE, "wg-test")
        finally:
            process.kill()
            process.wait()
            (SOCKETS / "wg-test.sock").unlink(missing_ok=True)

    kept()


def test_a_device_that_is_not_there() -> None:
    engine_contract.says_nothing_of_a_device_that_is_not_there(ENGINE)


def test_a_refusal() -> None:
    engine_contract.refuses_in_a_sentence(ENGINE)
