"""Every ruleset that was reviewed, and the closed one, judged by nft and the kernel in an empty namespace.

    golden text ──► nft -f, twice: our table may stand there or not ──► kernel ──► what nft lists

Needs root; touches nothing but the namespace that unshare makes and the kernel forgets.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from appliance.adapters.nft import Nft
from tests.labs.own_network import in_own_network
from tests.unit.firewall.cases import rendered

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/unit/firewall/cases").glob("*/alpha.nft"))
CLOSED = ROOT / "rootfs-overlay/usr/lib/appliance/closed.nft"
IN_A_NAMESPACE = ("unshare", "-n", "sh", "-c")


def without_offload(text: str) -> str:
    """Kernels of test machines may lack flowtables; that part is judged on the product's own kernel."""
    text = re.sub(r"\n    flowtable \w+ \{.*?\n    \}\n", "\n", text, flags=re.DOTALL)
    return re.sub(r"\n[^\n]* flow add @[^\n]*", "", text)


def judged(text: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*IN_A_NAMESPACE, script], input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("golden", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_nft_takes_the_ruleset(golden: Path) -> None:
    text = without_offload(golden.read_text())
    load = 'printf "%s\\n" "$text" | nft -f -'
    script = f"text=$(cat); {load} && {load} && nft list tables"
    result = judged(text, script)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "table inet appliance\n"


@pytest.mark.parametrize("golden", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_dry_run_changes_nothing(golden: Path) -> None:
    result = judged(without_offload(golden.read_text()), "nft -c -f - && nft list tables")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_closed_ruleset_is_replaced_by_ours_and_back() -> None:
    """Chains of ours may stay behind, empty; what decides is closed again."""
    ours = without_offload(GOLDEN[0].read_text())
    script = f"nft -f {CLOSED} && nft list ruleset; nft -f - && nft -f {CLOSED} && echo BACK && nft list ruleset"
    result = judged(ours, script)
    assert (result.returncode, result.stderr) == (0, "")
    first, back = result.stdout.split("BACK\n")
    for chain in ("input", "forward"):
        assert chain_text(back, chain) == chain_text(first, chain)
        assert "policy drop;" in chain_text(back, chain)


def chain_text(listing: str, name: str) -> str:
    found = re.search(rf"^\tchain {name} \{{.*?^\t\}}", listing, re.DOTALL | re.MULTILINE)
    assert found, f"no chain {name} in:\n{listing}"
    return found[0]


@pytest.mark.parametrize("folder", [path.parent for path in GOLDEN], ids=[path.parent.name for path in GOLDEN])
def test_one_ruleset_after_another_leaves_nothing_of_the_first(folder: Path, tmp_path: Path) -> None:
    """A table that held another ruleset lists as a fresh one does."""
    first, then = (without_offload(text) for text in ((GOLDEN[-1].parent / "alpha.nft").read_text(), rendered(folder)))
    fresh = judged(then, "nft -f - && nft -s list ruleset")

    @in_own_network
    def loaded() -> None:
        nft = Nft(tmp_path / "ruleset.json")
        nft.load(first)
        nft.load(then)
        listing = subprocess.run(["nft", "-s", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        assert sorted(blocks(listing)) == sorted(blocks(fresh.stdout))

    loaded()


def blocks(listing: str) -> list[str]:
    """Chains and counters, each as one text; nft lists chains in the order in which they were made."""
    inside = "\n".join(line for line in listing.splitlines() if not line.startswith(("table", "}", "\tcomment")))
    return [block.strip() for block in re.split(r"\n\n|(?<=\n\t\})\n", inside) if block.strip()]


def test_a_ruleset_the_kernel_refuses_leaves_the_old_one() -> None:
    broken = without_offload(GOLDEN[0].read_text()).replace("jump icmp_to_box", "jump nowhere", 1)
    result = judged(broken, f"nft -f {CLOSED}; nft -f - && exit 9; nft list ruleset")
    assert result.returncode == 0
    assert "DHCPv4 answers" in result.stdout
    assert "ssh and DNS" not in result.stdout
