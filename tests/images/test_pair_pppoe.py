"""tests/labs/test_pair_pppoe.py on the product's own kernel, with Debian's pppd at both ends, in emulation.

Two boxes that boot are much for an emulated processor: this takes a quarter of an hour where the lab with stand-ins
takes two minutes.
"""

from __future__ import annotations

from pathlib import Path

from tests.vm.machine import run_inside

CHECKS = ["tests/labs/test_pair_pppoe.py", "-k", "silent or power_cut_of_the_master"]


def test_a_pair_whose_provider_speaks_pppoe(tmp_path: Path) -> None:
    code, said = run_inside(tmp_path, ["-rP", "--durations=0", "--noconftest", *CHECKS], 1800, slower=8)
    print(said[said.find("ROM...") :])
    assert code == 0, said[-8000:]
