"""The case folders, and the ruleset that box alpha gets from one.

`python3 -m tests.unit.firewall.cases`, run from the top of the checkout, writes every alpha.nft anew; the diff is
for a person to read. It is a command and not a test, since unit tests may not write into the checkout.
"""

from __future__ import annotations

from pathlib import Path

from appliance.core.document import read_document
from appliance.core.firewall import render
from appliance.core.model import Config

CASES = sorted(folder for folder in (Path(__file__).parent / "cases").iterdir() if folder.is_dir())


def rendered(folder: Path) -> str:
    """The text for box alpha. The linter is not asked: some cases show what it would advise against."""
    document = read_document((folder / "appliance.yaml").read_bytes())
    config = Config.model_validate(document.value)
    offload = folder.name.startswith("offload")
    return render(config, "alpha", lambda path: document.mark(path).line, offload=offload)


if __name__ == "__main__":
    for case in CASES:
        (case / "alpha.nft").write_text(rendered(case), encoding="utf-8")
