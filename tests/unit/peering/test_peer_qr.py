"""A code on a terminal: whole, or not at all."""

from __future__ import annotations

import os
import sys

import pytest

from appliance.cli import peer_qr
from appliance.cli.failure import Failure

FILE = "[Interface]\nPrivateKey = " + 44 * "k" + "\n[Peer]\n" + 200 * "x" + "\n"


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, lines)))


def test_a_short_text_fits_80x24(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, 80, 24)
    lines = peer_qr.lines("short")
    assert len(lines) <= 22 and all(len(line) <= 80 + 20 for line in lines)


def test_a_smaller_border_where_the_terminal_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, 80, 200)
    wide = len(peer_qr.lines(FILE))
    terminal(monkeypatch, 80, wide)
    assert len(peer_qr.lines(FILE)) < wide


def test_no_room_is_said_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, 80, 24)
    with pytest.raises(Failure, match="this terminal has 80 and 24; make it larger, or write a picture"):
        peer_qr.lines(FILE)
