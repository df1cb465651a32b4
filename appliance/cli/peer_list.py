"""`appliance peer list`: who was seen when and from where."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from appliance.cli.client import ask
from appliance.cli.columns import say, table
from appliance.cli.status import age

FIELDS = (
    "name",
    "state",
    "endpoint",
    "handshake_age_seconds",
    "last_seen_seconds",
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
        titles = ("peer", "state", "seen", "from", "addresses and networks")
        say(*table(titles, map(_row, peers)))
    else:
        print("no peers yet: appliance peer add NAME")
    return 0


def _row(peer: dict[str, Any]) -> Sequence[str]:
    seen = age(peer["last_seen_seconds"])
    return (peer["name"], peer["state"], seen, peer["endpoint"] or "-", " ".join(peer["allowed_ips"]))
