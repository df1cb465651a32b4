"""An uplink on which networkd has given up is set up once more, and not again and again."""

from __future__ import annotations

from appliance.adapters.errors import Refused
from appliance.core.state import Uplink
from appliance.supervisor.networkd import AGAIN_SECONDS, FORGOTTEN_SECONDS, NetworkdWatch

LEASED = Uplink("wan", "enp1s0", 100, 0, (), dynamic=True, carries_ipv6=False)
STATIC = Uplink("dsl", "enp2s0", 101, 0, ("203.0.113.1",), dynamic=False, carries_ipv6=False)


class World:
    def __init__(self) -> None:
        self.now, self.failed, self.asked, self.refuses = 0.0, {"enp1s0", "enp2s0"}, list[str](), False
        self.watch = NetworkdWatch(lambda: frozenset(self.failed), self.ask, lambda: self.now)

    def ask(self, device: str) -> None:
        self.asked.append(device)
        if self.refuses:
            raise Refused("networkctl: no")

    def look(self, after: float = 0.0) -> list[str]:
        self.now += after
        self.asked.clear()
        self.watch.look([LEASED, STATIC])
        return list(self.asked)


def test_a_lease_that_nobody_renews_is_asked_for_again_and_not_all_the_time() -> None:
    world = World()
    assert world.look() == ["enp1s0"]
    for pause in (*AGAIN_SECONDS, AGAIN_SECONDS[-1]):
        assert world.look(pause - 1) == []
        assert world.look(1) == ["enp1s0"]
    world.failed.clear()
    assert world.look(FORGOTTEN_SECONDS) == []


def test_after_a_long_time_it_is_as_new() -> None:
    world = World()
    world.look()
    for _ in range(9):
        assert world.look(FORGOTTEN_SECONDS) == ["enp1s0"]
    assert world.look(AGAIN_SECONDS[0]) == ["enp1s0"]


def test_a_networkd_that_does_not_answer_ends_nothing() -> None:
    world = World()
    world.refuses = True
    assert world.look() == ["enp1s0"]
