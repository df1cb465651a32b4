"""When peers were seen last: kept over a restart of the box, and seldom written."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from appliance.core.desired import compile_box
from appliance.core.state import DesiredTunnel, ObservedDevice, ObservedPeer
from appliance.supervisor import last_seen
from appliance.supervisor.last_seen import LastSeen
from tests.unit.config.examples import key

FILE = f"""\
version: 1
site: zurich
boxes: {{zurich: {{interfaces: {{lan: {{device: eth0, address: 192.168.10.2/24, gateway: 192.168.10.1}}}}}}}}
tunnels:
  office:
    addresses: [10.20.0.1/24]
    peers:
      anna: {{public_key: {key(1)}, address: 10.20.0.10}}
      ben: {{public_key: {key(2)}, address: 10.20.0.11}}
"""
TUNNELS: tuple[DesiredTunnel, ...] = compile_box(FILE.encode(), "zurich").tunnels


def engine(**handshakes: float) -> dict[str, ObservedDevice]:
    numbers = {"anna": 1, "ben": 2}
    peers = {
        key(numbers[name]): ObservedPeer(key(numbers[name]), frozenset(), None, 0, "", last)
        for name, last in handshakes.items()
    }
    return {"wg-office": ObservedDevice(key(9), 51820, 0, peers)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found = [1000.0]
    monkeypatch.setattr(last_seen.time, "monotonic", lambda: found[0])
    return found


def test_it_outlives_the_engine(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "last-seen.json"
    LastSeen(path).note(TUNNELS, engine(anna=5000.0, ben=0.0))
    after = LastSeen(path)
    after.note(TUNNELS, engine(anna=0.0, ben=0.0))
    assert after.times == {key(1): 5000.0}
    after.note(TUNNELS, engine(anna=6000.0))
    assert after.times == {key(1): 6000.0}
    after.note((), {})
    assert after.times == {}, "who left the configuration is forgotten"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_trial_without_somebody_forgets_nobody(tmp_path: Path, clock: list[float]) -> None:
    kept = LastSeen(tmp_path / "last-seen.json")
    kept.note(TUNNELS, engine(anna=5000.0))
    clock[0] += 60
    kept.note((), {})
    kept.note(TUNNELS, engine(anna=0.0))
    assert kept.times == {key(1): 5000.0}


def test_a_clock_that_was_ahead_is_forgotten(tmp_path: Path, clock: list[float]) -> None:
    kept = LastSeen(tmp_path / "last-seen.json")
    kept.note(TUNNELS, engine(anna=4e9))
    assert 0 <= time.time() - kept.times[key(1)] < 60


def test_it_is_written_once_a_day_and_at_the_end(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "last-seen.json"
    kept = LastSeen(path)
    kept.note(TUNNELS, engine(anna=5000.0))
    first = path.read_bytes()
    clock[0] += 86_000
    kept.note(TUNNELS, engine(anna=90_000.0))
    assert path.read_bytes() == first
    kept.note(TUNNELS, engine(anna=90_000.0, ben=90_001.0))
    assert len(LastSeen(path).times) == 2, "who was never seen before is written soon"
    clock[0] += 86_000
    kept.note(TUNNELS, engine(anna=170_000.0, ben=90_001.0))
    assert LastSeen(path).times[key(1)] == 90_000.0
    clock[0] += 401
    kept.note(TUNNELS, engine(anna=171_000.0, ben=90_001.0))
    assert LastSeen(path).times[key(1)] == 171_000.0
    kept.note(TUNNELS, engine(anna=172_000.0, ben=90_001.0))
    kept.keep()
    assert LastSeen(path).times[key(1)] == 172_000.0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": null}', b'{"a": "b"}', b'{"a": NaN}'])
def test_a_damaged_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last-seen.json"
    path.write_bytes(content)
    assert LastSeen(path).times == {}
