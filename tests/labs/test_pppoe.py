"""An uplink by PPPoE on the product's own kernel, in emulation, since this machine's may have no PPP.

The checks (tests/vm/check_pppoe.py) run inside a machine that QEMU emulates.
"""

from __future__ import annotations

from pathlib import Path

from tests.vm.machine import run_inside


def test_an_office_whose_provider_speaks_pppoe(tmp_path: Path) -> None:
    code, said = run_inside(tmp_path, ["-rP", "tests/vm/check_pppoe.py"], 900)
    print(said[said.find("ROM...") :])
    assert code == 0, said[-8000:]
