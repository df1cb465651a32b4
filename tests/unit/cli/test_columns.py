"""Tables for people: columns that line up, on a narrow screen too, and colour only where somebody sees it."""

from __future__ import annotations

import pytest

from appliance.cli.columns import coloured, say, table

ROWS = [
    ("office.alice", coloured("green", "up"), "10.20.0.10/32"),
    ("office.b", "idle", "10.20.0.2/32 192.168.20.0/24"),
]
TITLES = ("peer", "state", "networks")


def test_columns_line_up_whatever_their_colour() -> None:
    assert list(table(TITLES, ROWS, 80)) == [
        "",
        "peer          state  networks",
        "─" * 49,
        f"office.alice  {coloured('green', 'up')}     10.20.0.10/32",
        "office.b      idle   10.20.0.2/32 192.168.20.0/24",
        "",
    ]


def test_what_does_not_fit_goes_on_below() -> None:
    assert list(table(TITLES, ROWS[1:], 40))[3:] == [
        "office.b  idle   10.20.0.2/32",
        "                 192.168.20.0/24",
        "",
    ]
    assert list(table(TITLES, ROWS[1:], 28))[3:] == ["office.b  idle", "  10.20.0.2/32", "  192.168.20.0/24", ""]


def test_a_cell_keeps_its_lines() -> None:
    assert list(table(("network", "addresses"), [("lan", "192.168.10.1/24\nfd00::1/64")], 80))[3:] == [
        "lan      192.168.10.1/24",
        "         fd00::1/64",
        "",
    ]


def test_a_pipe_sees_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    say(coloured("red", "out"), coloured("", "in"))
    assert capsys.readouterr().out == "out\nin\n"
