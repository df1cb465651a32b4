"""What a configuration presupposes is written before it is tried; what becomes of it when it is not taken."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.client import Refusal
from appliance.cli.failure import Failure
from appliance.cli.wizard.world import World


@pytest.mark.parametrize(
    ("error", "stays"),
    [(Refusal("enp9s0 does not exist", ""), False), (Failure("the supervisor did not answer"), True)],
    ids=["it was refused", "it may run all the same"],
)
def test_the_boxs_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Failure, stays: bool) -> None:
    def ask(options: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
        if request["verb"] == "status":
            return {"status": {"box": None}}
        assert (tmp_path / "data/appliance/box").read_text() == "alpha\n"
        raise error

    monkeypatch.setattr("appliance.cli.wizard.world.ask", ask)
    (tmp_path / "data/appliance").mkdir(parents=True)
    world = World(argparse.Namespace(root=tmp_path))
    with pytest.raises(Failure, match=str(error)):
        world.attempt({"pair": "first", "box": "alpha", "how": "dhcp"}, "site: zurich\n", {})
    # Whoever leaves takes back what is known not to run.
    world.undo()
    assert (tmp_path / "data/appliance/box").exists() == stays
