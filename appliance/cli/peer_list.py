"""`appliance peer list`: who was seen when and from where, as the engines say at this moment."""

from __future__ import annotations

import argparse
import json
from typing import Any

from appliance.cli.client import ask
from appliance.cli.status import age

FIELDS = (
    "name",
    "state",
    "endpoint",
    "handshake_age_seconds",
    "received_bytes",
    "sent_bytes",
    "allowed_ips",
    "keys_since",
    "expires",
    "public_key",
)


def show_list(options: argparse.Namespace) -> int:
    status = ask(options, {"verb": "status"})["status"]
    peers = [{key: peer[key] for key in FIELDS} for tunnel in status["tunnels"] for peer in tunnel["peers"]]
    if options.json:
        print(json.dumps(peers, indent=2))
    elif peers:
        _table(peers)
    else:
        print("no peers yet: appliance peer add NAME")
    return 0


def _table(peers: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("peer", "state", "seen", "from", "addresses and networks"):
        table.add_column(title)
    for peer in peers:
        seen = (peer["state"], age(peer["handshake_age_seconds"]), peer["endpoint"] or "-")
        table.add_row(peer["name"], *seen, " ".join(peer["allowed_ips"]))
    Console(highlight=False, markup=False).print(table)
