"""What counts as data, and what an engine counts besides: handshakes and keepalives."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from appliance.core.silence import KEEPALIVE_BYTES
from appliance.core.state import ObservedDevice, ObservedPeer
from appliance.core.traffic import Traffic, without_data

KEY = ("wg-office", "KEY")
PING = 128
"""A ping of 84 bytes: padded to 96, and 32 around it."""
BEAT = 5.0


class Counting:
    def __init__(self) -> None:
        self.traffic, self.now = Traffic(), 100.0
        self.peer = ObservedPeer("KEY", frozenset(), None, 0, "")
        self.look(0)

    def look(self, seconds: float = BEAT) -> None:
        self.now += seconds
        self.traffic.note({"wg-office": ObservedDevice("", 0, 0, {"KEY": self.peer})}, self.now)

    def count(self, received: int = 0, sent: int = 0) -> Counting:
        self.peer = replace(self.peer, received=self.peer.received + received, sent=self.peer.sent + sent)
        return self

    @property
    def talks(self) -> bool:
        return KEY in self.traffic.both_ways(self.now, 180.0)


def test_one_ping_after_a_handshake_is_data() -> None:
    office = Counting()
    office.count(92 + PING, 148 + PING).look()
    assert office.talks


@pytest.mark.parametrize("every", [10.0, 15.0, 25.0])
def test_handshakes_and_keepalives_alone_are_none(every: float) -> None:
    office = Counting()
    due = every
    for beat in range(1, 400):
        if beat * BEAT >= due:
            due += every
            office.count(KEEPALIVE_BYTES, KEEPALIVE_BYTES)
        if beat % 24 == 0:
            office.count(92, 148).count(KEEPALIVE_BYTES if beat % 48 else 0, 0)
        office.look()
    assert not office.talks


def test_nobody_answers_initiations() -> None:
    branch = Counting()
    for _ in range(100):
        branch.count(0, 148).look()
    assert not branch.talks


def test_data_one_way_is_not_both_ways() -> None:
    branch = Counting()
    for _ in range(10):
        branch.count(KEEPALIVE_BYTES, 50_000).look(10.0)
    assert not branch.talks
    branch.count(PING).look()
    assert branch.talks


def test_it_is_forgotten_after_three_minutes() -> None:
    office = Counting()
    office.count(5_000, 5_000).look()
    for _ in range(30):
        office.look()
    assert office.talks
    for _ in range(7):
        office.look()
    assert not office.talks


def test_a_handshake_is_counted_in_two_looks() -> None:
    """A screen that follows asks every second, and an answer may come after it did."""
    office = Counting()
    office.count(148).look(0.5)
    office.count(0, 92).look(0.5)
    office.count(KEEPALIVE_BYTES).look(0.5)
    assert not office.talks


def test_a_ping_a_second_is_seen_by_whoever_looks_every_second() -> None:
    office = Counting()
    for _ in range(3):
        office.count(PING, PING).look(1.0)
    assert office.talks


def test_a_new_engine_counts_from_nothing() -> None:
    office = Counting()
    office.count(9_000, 9_000).look()
    office.peer = replace(office.peer, received=0, sent=0)
    for _ in range(40):
        office.look()
    assert not office.talks
    office.count(PING, PING).look()
    assert office.talks


def test_what_a_supervisor_finds_counts_for_nothing() -> None:
    traffic = Traffic()
    peer = ObservedPeer("KEY", frozenset(), None, 0, "", 99.0, 1_000_000, 1_000_000)
    traffic.note({"wg-office": ObservedDevice("", 0, 0, {"KEY": peer})}, 100.0)
    assert not traffic.both_ways(100.0, 180.0)


def test_what_comes_between_a_peers_adding_and_the_first_look_counts() -> None:
    traffic = Traffic()
    traffic.begin("wg-office", ["KEY"], 100.0)
    peer = ObservedPeer("KEY", frozenset(), None, 0, "", 101.0, 92 + PING, 148 + PING)
    traffic.note({"wg-office": ObservedDevice("", 0, 0, {"KEY": peer})}, 102.0)
    assert traffic.both_ways(102.0, 180.0) == {KEY}


def test_every_sum_of_handshakes_and_keepalives_is_without_data() -> None:
    for seconds, handshakes, keepalives in ((1.0, 1, 1), (BEAT, 2, 1), (10.0, 3, 2), (30.0, 7, 4)):
        for i, r, c, k in product(range(handshakes + 1), range(handshakes + 1), range(2), range(keepalives + 1)):
            possible = i + r <= handshakes
            assert not possible or without_data(148 * i + 92 * r + 64 * c + 32 * k, seconds)


@pytest.mark.parametrize("length", [20, 40, 84, 100, 500, 1420])
def test_one_packet_between_two_looks_is_seen(length: int) -> None:
    """Alone; and beside a keepalive, or a handshake."""
    packet = 32 + -(-length // 16) * 16
    seen = [not without_data(packet + other, BEAT) for other in (0, 32, 92, 148)]
    # The smallest ones, TCP's answers without data, have the length of a cookie reply, alone or beside a keepalive.
    assert all(seen) or packet <= 96, (packet, seen)
