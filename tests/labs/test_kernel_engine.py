"""The same product on its own kernel, in emulation: WireGuard by the kernel module, flow tables, VLANs.

This machine's kernel may have none of them, so the checks (tests/vm/check_kernel_engine.py, check_vlans.py) run inside
a machine that QEMU emulates; three minutes.
"""

from __future__ import annotations

from pathlib import Path

from tests.vm.machine import run_inside


def test_everything_that_needs_the_products_kernel(tmp_path: Path) -> None:
    code, said = run_inside(tmp_path, ["-rP", "tests/vm/check_kernel_engine.py", "tests/vm/check_vlans.py"], 900)
    print(said[said.find("ROM...") :])
    assert code == 0, said[-8000:]
