"""The example that the documentation shows, and offices of any size for tests that need many of something."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from hypothesis import settings

from appliance.core.document import read_document
from appliance.core.lint import lint
from appliance.core.model import Config

EXAMPLE = (Path(__file__).parents[3] / "docs/appliance.example.yaml").read_bytes()

BUDGET = int(os.environ.get("HYPOTHESIS_EXAMPLES", "300"))
"""How many inputs each property is tried with: seconds in `make check`, minutes in `make fuzz`."""
PROPERTY = settings(max_examples=BUDGET, deadline=None, database=None)
"""Without a database of failed examples: it is written through /tmp, which the guard of the unit tests forbids, and
the refusal would stand where the failure should."""

OFFICE = """\
version: 1
site: zurich
boxes:
  alpha:
    interfaces:
      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
"""


def parsed(text: str) -> Config:
    return Config.model_validate(read_document(text.encode()).value)


def told(text: str) -> list[tuple[str | int, ...]]:
    """Where the network linter finds something."""
    return [problem.path for problem in lint(parsed(text))]


def key(number: int) -> str:
    """A public key like any other; the last byte keeps it in the form that a handshake carries."""
    return base64.b64encode(hashlib.sha256(str(number).encode()).digest()[:31] + b"\x07").decode()


def large(peers: int, rules: int) -> str:
    """An office with many peers, each with a network of its own, and about one rule for each of them."""
    lines = [OFFICE, "tunnels:", "  office:", "    listen_port: 51820", "    addresses: [10.20.0.1/16]", "    peers:"]
    for number in range(peers):
        high, low = divmod(number, 250)
        lines += [
            f"      p{number}:",
            f"        public_key: {key(number)}",
            f"        address: 10.20.{high + 1}.{low + 1}",
            f"        networks: [172.{high + 16}.{low}.0/24]",
        ]
    lines += ["firewall:", "  allow:"]
    for number in range(rules):
        which = f"services: [https, ssh], ports: [tcp/{number + 1000}, udp/53]"
        host = f"192.168.10.{number % 200 + 5}"
        lines.append(f"    - {{from: office.p{number % peers}, to: lan, hosts: [{host}], {which}}}")
    return "\n".join(lines) + "\n"
