"""The pair link's own handshake: what is called again, when, and by whom."""

from __future__ import annotations

from typing import Any

from appliance.core.takeover import Machine, Timers
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from tests.unit.takeover.takeover_steps import WALL, Bench


def bench(redials: bool) -> Bench:
    found = Bench()
    found.machine = Machine("beta", "one", False, Timers(), redials)
    found.tell(e.ConfigurationChanged("digest", 7, (), found.now))
    return found


def calls(found: Bench, seconds: float) -> list[float]:
    """When the partner was called within so many seconds from now, after how many."""
    began, times = found.now, []
    while found.now < began + seconds:
        done: tuple[Any, ...] = found.later(0.25)  # exact in binary, as the timers are
        times += [found.now - began] * sum(isinstance(each, a.CallPartner) for each in done)
    return times


def test_one_of_the_two_calls_again_until_it_is_heard() -> None:
    box = bench(redials=True)
    box.start()
    assert calls(box, 14.0) == [0.5, 1.5, 3.5, 7.5, 12.5]
    box.hear("standby", 0)
    assert calls(box, 1.25) == []
    assert calls(box, 14.0) == [], "the session may be good on both sides: what it carries would be lost by a call"
    assert calls(box, 3.0) == [0.75, 1.75]


def test_who_is_on_the_wire_again_and_not_heard_is_called() -> None:
    """After a cut both are masters until they meet; that the other one was it, only its hello says."""
    for word in ("BACKUP", "MASTER_RX_LOWER_PRI"):
        box = bench(redials=True)
        box.start()
        box.hear("standby", 0)
        box.later(2.0)
        box.vrrp("MASTER")
        box.later(5.0)
        if word == "BACKUP":
            box.vrrp(word)
        else:
            box.tell(e.MasterSeenLowerPriority(box.now))
        assert calls(box, 1.0) == [0.5]


def test_the_other_one_does_not() -> None:
    box = bench(redials=False)
    box.tell(e.Started(box.now, WALL + box.now))
    assert calls(box, 10.0) == []
