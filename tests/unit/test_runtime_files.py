"""The files below /run, and who has yet to read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.adapters.errors import Refused
from appliance.adapters.files import RuntimeFiles

PATH = "/run/appliance/keepalived.conf"


def test_a_reader_is_owed_a_reload_until_it_had_one(tmp_path: Path) -> None:
    files = RuntimeFiles(tmp_path)
    assert files.unread() == frozenset()
    files.write_for("pair", PATH, "new")
    assert files.unread() == {"pair"} and files.read() == {PATH: "new"}
    files.was_read("pair")
    files.was_read("pair")
    assert files.unread() == frozenset()


def test_it_is_owed_before_the_file_is_there(tmp_path: Path) -> None:
    """A power cut or a full disk in the middle costs a reload too many, and never one too few."""
    files = RuntimeFiles(tmp_path)
    (tmp_path / "run/systemd/network").mkdir(parents=True)
    (tmp_path / "run/systemd/network/.50-appliance-wan.network.new").mkdir()
    with pytest.raises(Refused):
        files.write_for("networkd", "/run/systemd/network/50-appliance-wan.network", "new")
    assert files.unread() == {"networkd"}
