"""Where the peers were last: kept on disk, seldom written, never believed when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.supervisor import whereabouts
from appliance.supervisor.whereabouts import Whereabouts

NAMES = {"office.anna", "office.ben"}


def test_they_survive_and_who_left_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "whereabouts.json"
    Whereabouts(path).keep({"office.anna": "192.0.2.1:1", "office.ben": "192.0.2.2:2"}, NAMES)
    assert Whereabouts(path).known == {"office.anna": "192.0.2.1:1", "office.ben": "192.0.2.2:2"}
    Whereabouts(path).keep({"office.anna": "192.0.2.9:9"}, {"office.anna"})
    assert Whereabouts(path).known == {"office.anna": "192.0.2.9:9"}


def test_it_is_written_when_something_is_new_and_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, clock = tmp_path / "whereabouts.json", [1000.0]
    monkeypatch.setattr(whereabouts.time, "monotonic", lambda: clock[0])
    kept = Whereabouts(path)
    kept.keep({"office.anna": "192.0.2.1:1"}, NAMES)
    before = path.read_bytes()
    clock[0] += 299
    kept.keep({"office.anna": "192.0.2.1:2"}, NAMES)
    assert path.read_bytes() == before
    clock[0] += 1
    kept.keep({"office.anna": "192.0.2.1:2"}, NAMES)
    assert Whereabouts(path).known == {"office.anna": "192.0.2.1:2"}
    written = path.stat().st_mtime_ns
    clock[0] += 3000
    kept.keep({"office.anna": "192.0.2.1:2"}, NAMES)
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": '])
def test_a_damaged_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "whereabouts.json"
    path.write_bytes(content)
    assert Whereabouts(path).known == {}
