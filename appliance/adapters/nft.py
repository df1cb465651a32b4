"""Our nft table, through libnftables (libnftables-json(5) not needed: the text that is shown is the text that runs).

Whether the table still is what was loaded is judged by listing it: the listing that stood right after loading is kept
by digest in /run, and any change by hand changes the listing.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import nftables

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole

TABLE = "inet appliance"
CLOSED = Path("/usr/lib/appliance/closed.nft")
STATE = Path("/run/appliance/ruleset.json")

_OBJECT = re.compile(r"^(?:\t| {4})(chain|set|map|flowtable|counter|limit|quota) ([^\s{]+)", re.MULTILINE)
"""What stands in a table, in nft's listing and in our own text."""

_COUNTER = re.compile(r'counter (\w+) \{\s+(?:comment "[^"]*"\s+)?packets (\d+)')

_FLOW_OFFLOAD_PROBE = """
table inet appliance_probe {
    flowtable probe { hook ingress priority 0; }
    chain forward { type filter hook forward priority 0; ct state established flow add @probe; }
}
"""


class Nft:
    """One libnftables context. `state` remembers what was loaded, in a folder that a reboot empties."""

    def __init__(self, state: Path = STATE) -> None:
        self.state = state
        self.nft = nftables.Nftables()
        self.nft.set_stateless_output(True)
        # Without what packets put into maps; sets that stand in rules are shown all the same.
        self.nft.set_terse_output(True)

    def read(self) -> str:
        """The text of our table as it was loaded, "" when there is none or it is not as it was loaded."""
        try:
            state = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return ""
        return str(state["text"]) if state["listing"] == self._listing() else ""

    def load(self, text: str) -> None:
        """Replaces what is in the table in one transaction; "" loads the one that lets nothing through.

        What the table holds beyond the text goes in the same transaction. Raises Refused; then nothing has changed.
        """
        wanted = text or CLOSED.read_text()
        code, _, error = self.nft.cmd(wanted + self._surplus(wanted))
        if code:
            # Somebody may have left a chain of ours with another hook, which cannot be changed, only made anew.
            code, _, _ = self.nft.cmd(f"table {TABLE}\ndelete table {TABLE}\n{wanted}")
        if code:
            raise Refused(f"the kernel refused the firewall: {_first(error)}; the one before stands")
        state = json.dumps({"text": text, "listing": self._listing()})
        self.state.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(self.state, state.encode(), 0o600)

    def _surplus(self, wanted: str) -> str:
        """Deletes what is in the table and not in the text, chains first, since they refer to the rest."""
        _, listing, _ = self.nft.cmd(f"list table {TABLE}")
        surplus = set(_OBJECT.findall(listing)) - set(_OBJECT.findall(wanted))
        return "".join(
            f"delete {kind} {TABLE} {name}\n" for kind, name in sorted(surplus, key=lambda each: each[0] != "chain")
        )

    def run(self, text: str) -> None:
        """Runs commands that concern another table than ours. Raises Refused."""
        code, _, error = self.nft.cmd(text)
        if code:
            raise Refused(f"nft refused: {_first(error)}")

    def counters(self) -> dict[str, int]:
        """Packets of our named counters, by name."""
        self.nft.set_stateless_output(False)
        try:
            _, output, _ = self.nft.cmd(f"list counters table {TABLE}")
        finally:
            self.nft.set_stateless_output(True)
        return {name: int(count) for name, count in _COUNTER.findall(output)}

    def flow_offload(self) -> bool:
        """Whether the kernel has flow tables (CONFIG_NF_FLOW_TABLE_INET): asked with a dry run."""
        self.nft.set_dry_run(True)
        try:
            code, _, _ = self.nft.cmd(_FLOW_OFFLOAD_PROBE)
        finally:
            self.nft.set_dry_run(False)
        return bool(code == 0)

    def _listing(self) -> str:
        code, output, _ = self.nft.cmd(f"list table {TABLE}")
        return hashlib.sha256(output.encode()).hexdigest() if code == 0 else ""


def _first(error: str) -> str:
    lines = [line.strip() for line in error.splitlines() if line.strip() and not set(line.strip()) <= set("^~ ")]
    return "; ".join(lines[:2]) or "no reason given"
