"""The supervisor's watchdog while a plan runs: systemd hears before each step, so that a slow machine may take long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from appliance.core.desired import compile_box
from appliance.core.state import Observed, ObservedLink
from appliance.core.steps import Step
from appliance.supervisor.keeper import ApplyFailed, Keeper

DESIRED = compile_box(
    b"""version: 1
site: zurich
boxes:
  alpha:
    interfaces:
      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
""",
    None,
)


@dataclass
class Machine:
    """Takes every step but the last, and says what it heard in which order."""

    heard: list[str] = field(default_factory=list)

    def observe(self, *_: Any) -> Observed:
        links = {name: ObservedLink(name, "", True, True, 1500) for name in ("enp1s0", "enp2s0")}
        return Observed(links=links)

    def read_facts(self) -> None: ...

    def run(self, step: Step) -> None:
        self.heard.append("step")


def test_systemd_hears_before_each_step_forward_and_back(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("appliance.supervisor.keeper.SETTLE_SECONDS", 0.0)
    machine = Machine()
    keeper = Keeper(machine, dict, bool, float, alive=lambda: machine.heard.append("alive"))  # type: ignore[arg-type]
    try:
        asyncio.run(keeper.apply(DESIRED))
    except ApplyFailed as error:
        # This machine does nothing, so nothing took effect, and all is taken back.
        assert "did not take effect" in str(error)
    assert machine.heard.count("step") > 4
    assert machine.heard[::2] == ["alive"] * (len(machine.heard) // 2)
    assert machine.heard[1::2] == ["step"] * (len(machine.heard) // 2)
