"""When a peer counts as silent: sent to, and nothing back for ten seconds."""

from __future__ import annotations

from appliance.core.silence import Silence

BEAT = 5.0


def run(readings: list[tuple[int, int]]) -> list[int]:
    """The beats (every 5 s) at which `peer` is reported, given (received, sent) at each."""
    silence = Silence()
    return [
        beat
        for beat, (received, sent) in enumerate(readings)
        if silence.update([("peer", 100 * received, 100 * sent, 25)], beat * BEAT)
    ]


def test_a_peer_that_answers_is_not_silent() -> None:
    assert run([(10, 10), (20, 20), (30, 30), (40, 40), (50, 50)]) == []


def test_an_idle_peer_is_not_silent() -> None:
    assert run([(10, 10)] * 20) == []


def test_a_peer_that_only_sends_is_not_silent() -> None:
    assert run([(10 * beat, 10) for beat in range(10)]) == []


def test_a_peer_that_stops_answering_is_silent_after_ten_seconds() -> None:
    assert run([(10, 10), (20, 20), (20, 30), (20, 40), (20, 50)]) == [4]


def test_a_silent_peer_is_reported_again_every_fifteen_seconds() -> None:
    assert run([(20, 20), *((20, 30 + beat) for beat in range(12))]) == [3, 6, 9, 12]


def test_a_peer_that_never_answered_is_silent() -> None:
    assert run([(0, 148), (0, 296), (0, 444), (0, 592)]) == [2]


def test_an_answer_ends_the_silence() -> None:
    assert run([(10, 10), (10, 20), (11, 30), (11, 30), (11, 30), (11, 30)]) == []


def test_a_new_engine_counts_from_nothing() -> None:
    """After the engine was restarted its counters are smaller than before: that is a new start."""
    assert run([(1000, 1000), (1000, 2000), (0, 0), (0, 0), (0, 0)]) == []


def test_a_removed_peer_is_forgotten() -> None:
    silence = Silence()
    silence.update([("peer", 10, 10, 0)], 0)
    silence.update([], 5)
    assert silence.tracks == {}


def test_keepalives_alone_ask_for_no_answer() -> None:
    """Nobody answers a keepalive: a healthy, idle peer that is sent one every 25 s is not silent."""
    silence = Silence()
    for beat in range(100):
        sent = 1000 + 32 * (beat // 5)
        assert silence.update([("peer", 500, sent, 25)], beat * BEAT) == []
        assert silence.due(beat * BEAT) is None
