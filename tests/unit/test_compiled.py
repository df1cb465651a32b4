"""What the confirmed file compiled to is used again only for the same bytes, the same box and the same code."""

from __future__ import annotations

from pathlib import Path

from appliance.core.desired import compile_box
from appliance.supervisor.compiler import keep, kept

EXAMPLE = (Path(__file__).parents[2] / "docs/appliance.example.yaml").read_bytes()


def test_the_same_comes_back(tmp_path: Path) -> None:
    desired = compile_box(EXAMPLE, "alpha")
    keep(tmp_path / "compiled.json", EXAMPLE, "alpha", desired)
    assert kept(tmp_path / "compiled.json", EXAMPLE, "alpha") == desired
    assert (tmp_path / "compiled.json").stat().st_mode & 0o777 == 0o600


def test_anything_else_is_compiled_again(tmp_path: Path) -> None:
    path = tmp_path / "compiled.json"
    assert kept(path, EXAMPLE, "alpha") is None
    keep(path, EXAMPLE, "alpha", compile_box(EXAMPLE, "alpha"))
    assert kept(path, EXAMPLE + b"\n", "alpha") is None
    assert kept(path, EXAMPLE, "bravo") is None


def test_a_torn_or_flipped_copy_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "compiled.json"
    keep(path, EXAMPLE, "alpha", compile_box(EXAMPLE, "alpha"))
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[: len(whole) // 2],
        whole[:-40] + b"x" + whole[-39:],
        b"\xff" + whole[1:],
        whole + whole,
    ):
        path.write_bytes(damaged)
        assert kept(path, EXAMPLE, "alpha") is None
