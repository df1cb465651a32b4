"""Our nft table, through libnftables (libnftables-json(5) not needed: the text that is shown is the text that runs).

Whether the table still is what was loaded, the kernel's own number for the state of all tables tells at once. Where it
is another (any program's table counts), ours is listed and compared with how it was listed while the number was still
that of our loading: any change by hand changes the listing. Number and listing are kept in /run.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import nftables

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.adapters.nft_generation import Generation

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
        self.generation = Generation()
        self.objects: tuple[int | None, frozenset[tuple[str, str]]] = (None, frozenset())
        """What is in the table while the number is this one."""
        self.nft.set_stateless_output(True)
        # Without what packets put into maps; sets that stand in rules are shown all the same.
        self.nft.set_terse_output(True)

    def read(self) -> str:
        """The text of our table as it was loaded, "" when there is none or it is not as it was loaded."""
        state = self._kept()
        if state is None:
            return ""
        number = self.generation.read()
        if number is None or state["generation"] != number:
            if not state["listing"] or state["listing"] != self._listing():
                return ""
            # Number first, listing second: what changed in between has a higher number again.
            self._keep(state["text"], number, state["listing"])
        elif not state["listing"]:
            listing = self._listing()
            if self.generation.read() == number:
                self._keep(state["text"], number, listing)
        return str(state["text"])

    def _kept(self) -> dict[str, Any] | None:
        try:
            state = json.loads(self.state.read_text())
            return state if state.keys() >= {"text", "generation", "listing"} else None
        except (OSError, ValueError):
            return None

    def _keep(self, text: str, number: int | None, listing: str) -> None:
        state = json.dumps({"text": text, "generation": number, "listing": listing})
        self.state.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(self.state, state.encode(), 0o600)

    def load(self, text: str) -> None:
        """Replaces what is in the table in one transaction; "" loads the one that lets nothing through.

        What the table holds beyond the text goes in the same transaction. Raises Refused; then nothing has changed.
        """
        wanted = text or CLOSED.read_text()
        before = self.generation.read()
        objects = frozenset(_OBJECT.findall(wanted))
        code, _, error = self.nft.cmd(wanted + self._surplus(objects, before))
        if code:
            # Somebody may have left a chain of ours with another hook, which cannot be changed, only made anew.
            code, _, _ = self.nft.cmd(f"table {TABLE}\ndelete table {TABLE}\n{wanted}")
        if code:
            raise Refused(f"the kernel refused the firewall: {_first(error)}; the one before stands")
        number = self.generation.read()
        if number is None or before is None:
            self._keep(text, None, self._listing())
        elif number == before + 1:
            self.objects = (number, objects)
            # Ours was the one change, and it is listed when it is next read: what comes after need not wait for that.
            self._keep(text, number, "")
        else:
            # Somebody else's came at the same time. It is not known what stands now, so it is loaded once more.
            self._keep(text, None, "")

    def _surplus(self, wanted: frozenset[tuple[str, str]], number: int | None) -> str:
        """Deletes what is in the table and not wanted, chains first, since they refer to the rest."""
        known, present = self.objects
        if number is None or known != number:
            _, listing, _ = self.nft.cmd(f"list table {TABLE}")
            present = frozenset(_OBJECT.findall(listing))
        surplus = present - wanted
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
