"""Runs inside the emulated machine, on the product's own kernel: the kernel's WireGuard keeps the contract that the
bundled engine keeps, the golden rulesets load with their flowtables, and the office is online through it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.adapters.engine import Engine
from appliance.adapters.kernel_engine import KernelEngine, kernel_wireguard_present
from appliance.adapters.nft import Nft
from appliance.adapters.rtnetlink import RtNetlink
from tests.lab import Lab, transfer, wait_for
from tests.labs import engine_contract
from tests.labs.engine_contract import CONTRACT
from tests.labs.office import OFFICE_HOST, ZURICH, Office, in_order, peer_state, status
from tests.labs.own_network import in_own_network

# An emulated processor is some thirty times slower than a real one.
PATIENCE = 120


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
def test_contract(clause: Callable[[Engine, str], None]) -> None:
    @in_own_network
    def kept() -> None:
        RtNetlink().add_wireguard("wg-test", "appliance: test")
        clause(KernelEngine(), "wg-test")

    kept()


@in_own_network
def test_sentences() -> None:
    engine_contract.says_nothing_of_a_device_that_is_not_there(KernelEngine())
    engine_contract.refuses_in_a_sentence(KernelEngine())


def test_facts() -> None:
    assert kernel_wireguard_present()
    assert Nft(Path("/tmp/ruleset.json")).flow_offload()


def test_an_office_through_the_kernels_wireguard(lab: Lab) -> None:
    office = Office(lab, patience=PATIENCE).build().go_online()
    for box in (office.zurich, office.geneva):
        tunnel = status(box)["tunnels"][0]
        assert (tunnel["engine"], tunnel["engine_wanted"]) == ("kernel", "auto")
        assert status(box)["capabilities"] == {"kernel_wireguard": True, "flow_offload": True}
    assert "flow add @" in office.zurich.sh("nft list ruleset")
    office.branch_host.ping(OFFICE_HOST, timeout=PATIENCE)
    office.laptop.ping(OFFICE_HOST, timeout=PATIENCE)
    assert transfer(office.branch_host, office.host, OFFICE_HOST, 100_000, PATIENCE) > 0
    # Through NAT and the flow table: the rest of a connection takes the short way.
    assert transfer(office.host, office.internet, "203.0.113.1", 300_000, PATIENCE) > 0
    assert peer_state(office.zurich, "office.geneva")["state"] == "up"
    office.zurich.run("ip", "link", "del", "wg-office")
    wait_for(lambda: "wg-office" in office.zurich.sh("ip -o link"), PATIENCE, "the interface is back")
    in_order(office.zurich, PATIENCE)
    office.branch_host.ping(OFFICE_HOST, timeout=PATIENCE)
    bundled = ZURICH.replace("    listen_port", "    engine: userspace\n    listen_port")
    assert "engine becomes userspace" in office.apply(office.zurich, bundled)
    assert status(office.zurich)["tunnels"][0]["engine"] == "userspace"
    office.branch_host.ping(OFFICE_HOST, timeout=PATIENCE)
