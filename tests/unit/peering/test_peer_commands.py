"""Each folder in cases/ is one sentence about `appliance peer`: the file before, the command, the file after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.peering.cases import CASES, carried_out


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path, tmp_path: Path) -> None:
    after, said = carried_out(folder, tmp_path)
    assert said == (folder / "said.txt").read_text(encoding="utf-8")
    assert after == (folder / "after.yaml").read_text(encoding="utf-8")
    before = (folder / "before.yaml").read_text()
    if said.endswith("exit 1\n"):
        assert after == before
        assert {path.name for path in tmp_path.iterdir()} == {"appliance.yaml"}, "nothing is left of it"
