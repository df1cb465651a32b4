"""After an update's restart: what worked must work again, and what was amiss before is nobody's fault."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from appliance.core.codec import to_json
from appliance.core.proof import GATEWAY, PARTNER, PEER, Fact, Readings
from appliance.core.state import Desired, Observed, Pair, Role, Ruleset, Uplink
from appliance.supervisor import proving
from appliance.supervisor.keeper import Keeper

WAN = Uplink("wan", "eth0", 100, 1, ("203.0.113.1",), False, False)
OFFICE = Desired("zurich", "alpha", "d", (), (WAN,), (), (), (), {}, {}, Ruleset("", ""))
FACT = Fact(GATEWAY, "wan")
ANSWERS = Readings(Observed(), frozenset({("eth0", "203.0.113.1")}))
SILENT = Readings(Observed())


class Box(SimpleNamespace):
    """A keeper that sees what `readings` holds, one after the other, the last one for ever."""

    def __init__(self, *readings: Readings, **more: Any) -> None:
        super().__init__(desired=OFFICE, role=Role(), failures=(), machine=None, observe=Observed)
        self.readings = list(readings)
        self.amiss: list[tuple[str, ...]] = [()]
        self.__dict__.update(more)

    def read(self, observed: Observed, administrator: tuple[str, int] | None) -> Readings:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def missing(self, *facts: Fact, **more: Any) -> tuple[str, ...]:
        request = {"facts": [to_json(fact) for fact in facts], "differs": [], "configured": True, "muted": False}
        request |= {"seconds": 0.3, **more}
        return asyncio.run(proving.after_restart(cast(Keeper, self), self.read, request))


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> None:
    def differs(box: Box) -> tuple[str, ...]:
        return box.amiss.pop(0) if len(box.amiss) > 1 else box.amiss[0]

    nothing: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(proving.proof, "provoke", nothing)
    monkeypatch.setattr(proving, "differs", differs)
    monkeypatch.setattr(proving, "LOOK_SECONDS", 0.001)


def test_a_gateway_that_answers_late_is_enough() -> None:
    assert Box(SILENT, SILENT, SILENT, ANSWERS).missing(FACT) == ()


def test_a_gateway_that_never_answers_is_named() -> None:
    assert Box(SILENT).missing(FACT) == ("not seen: the gateway of wan answers",)


def test_nothing_is_asked_where_nothing_worked() -> None:
    assert Box(SILENT).missing() == ()
    assert Box(SILENT, desired=None).missing(configured=False) == ()


def test_a_configuration_that_is_not_used_is_named() -> None:
    assert Box(SILENT, desired=None).missing() == ("it does not use the configuration",)


def test_what_the_file_says_must_be_done_unless_it_was_not_before() -> None:
    assert Box(ANSWERS, amiss=[("not done: x",), ()]).missing(FACT) == ()
    assert Box(ANSWERS, amiss=[("not done: x",)]).missing(FACT)[0] == "not done: x"
    assert Box(ANSWERS, amiss=[("not done: x",)]).missing(FACT, differs=["not done: x"]) == ()


def test_a_master_that_is_standby_now_needs_its_partner_only() -> None:
    pair = cast(Pair, SimpleNamespace(partner="bravo"))
    office = dataclasses.replace(OFFICE, pair=pair)
    heard = Readings(Observed(), partner=True)
    facts = (FACT, Fact(PARTNER, "bravo"))
    assert Box(heard, desired=office, role=Role(muted=True)).missing(*facts) == ()
    assert Box(heard, desired=office, role=Role(muted=True)).missing(*facts, muted=True) == (
        "not seen: the gateway of wan answers",
    )


def test_where_nobody_could_say_what_works_it_must_only_come_up() -> None:
    assert Box(SILENT, amiss=[("not done: add address",)]).missing(configured=False) == ()


def test_a_branch_is_waited_for_and_a_laptop_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both only ever call by themselves; the third one is called."""
    networks = {"branch": ("10.20.0.2/32", "192.168.20.0/24"), "laptop": ("10.20.0.3/32",), "hub": ("10.20.0.4/32",)}
    peers = [
        SimpleNamespace(public_key=name, allowed_ips=ips, endpoint="192.0.2.1:1" if name == "hub" else None)
        for name, ips in networks.items()
    ]
    facts = tuple(Fact(PEER, f"office.{name}", name) for name in networks)
    monkeypatch.setattr(proving, "worked", lambda *_: facts)
    box = Box(ANSWERS, desired=SimpleNamespace(tunnels=[SimpleNamespace(peers=peers)]))
    found = proving.works(cast(Keeper, box), box.read, None)
    assert [fact.public_key for fact in found] == ["branch", "hub"]
