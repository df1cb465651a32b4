"""The supervisor's watchdog while a plan runs: systemd hears before each step, so that a slow machine may take long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from appliance.adapters.errors import Refused
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
    owed: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)

    def observe(self, *_: Any) -> Observed:
        links = {name: ObservedLink(name, "", True, True, 1500) for name in ("enp1s0", "enp2s0")}
        return Observed(links=links)

    def read_facts(self) -> None: ...

    def run(self, step: Step) -> None:
        self.heard.append("step")

    def unread(self) -> frozenset[str]:
        return frozenset(self.owed)

    def tell(self, daemon: str) -> None:
        if daemon in self.deaf:
            raise Refused(f"{daemon} does not answer")
        self.heard.append(daemon)
        self.owed.remove(daemon)


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


def test_a_daemon_that_did_not_read_its_files_is_told_again() -> None:
    """One that hangs is asked now and then, and neither keeps the other from being told nor makes a change fail."""
    machine = Machine(owed={"keepalived", "networkd"}, deaf={"networkd"})
    keeper = Keeper(machine, dict, bool, float, desired=DESIRED)  # type: ignore[arg-type]
    again = asyncio.run(keeper.repair())
    assert machine.owed == {"keepalived", "networkd"} and again is not None and 0.0 < again <= 5.0
    keeper.remind_at = 0.0
    again = asyncio.run(keeper.repair())
    assert machine.owed == {"networkd"} and machine.heard.count("keepalived") == 1
    assert again is not None and 5.0 < again <= 60.0
    assert keeper.unread == ("networkd has not read what was written for it; it is told again",)
    machine.deaf.clear()
    asyncio.run(keeper.repair())
    assert machine.owed == {"networkd"}
    keeper.remind_at = 0.0
    assert asyncio.run(keeper.repair()) is None
    assert not machine.owed and not keeper.unread
