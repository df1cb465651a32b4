"""Every ruleset that was reviewed, and the closed one, judged by nft and the kernel in an empty network namespace.

    golden text ──► nft -f (twice: a table of ours may or may not be there) ──► kernel ──► the counters that it lists

Needs root; touches nothing but the namespace that unshare makes and the kernel forgets.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/unit/firewall/cases").glob("*/alpha.nft"))
CLOSED = ROOT / "rootfs-overlay/usr/lib/appliance/closed.nft"
IN_A_NAMESPACE = ("unshare", "-n", "sh", "-c")


def without_offload(text: str) -> str:
    """Kernels of test machines may lack flowtables; that part is judged where the product's own kernel runs."""
    text = re.sub(r"\n    flowtable \w+ \{.*?\n    \}\n", "\n", text, flags=re.DOTALL)
    return re.sub(r"\n[^\n]* flow add @[^\n]*", "", text)


def judged(text: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*IN_A_NAMESPACE, script], input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("golden", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_nft_takes_the_ruleset(golden: Path) -> None:
    text = without_offload(golden.read_text())
    script = 'text=$(cat); for time in first second; do printf "%s\\n" "$text" | nft -f - || exit 1; done; nft list tables'
    result = judged(text, script)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "table inet appliance\n"


@pytest.mark.parametrize("golden", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_dry_run_changes_nothing(golden: Path) -> None:
    result = judged(without_offload(golden.read_text()), "nft -c -f - && nft list tables")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_closed_ruleset_is_replaced_by_ours_and_back() -> None:
    ours = without_offload(GOLDEN[0].read_text())
    script = f"nft -f {CLOSED} && nft -f - && nft -f {CLOSED} && nft list ruleset"
    result = judged(ours, script)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("policy drop") == 2
    assert "dropped_forward" not in result.stdout


def test_a_ruleset_the_kernel_refuses_leaves_the_old_one() -> None:
    broken = without_offload(GOLDEN[0].read_text()).replace("jump drop_invalid", "jump nowhere", 1)
    result = judged(broken, f"nft -f {CLOSED}; nft -f - && exit 9; nft list ruleset")
    assert result.returncode == 0
    assert "closed: the configuration" in result.stdout
