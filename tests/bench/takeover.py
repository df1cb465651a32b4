"""A takeover with 1,000 live peers: when each of them is back, and that 1,000 more which are away delay nobody.

The drawing stands in tests/labs/pair.py; the peers are one program in the internet that answers for all of them
(tests/lab/programs/responder.py). All 1,000 have a session with alpha, 50 of them sent something just now; then alpha's
power is cut. A peer is back when data of its session with bravo has arrived there, and the time runs from keepalived's
MASTER on bravo. The same again with 1,000 peers more that are called, too, and never answer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import statistics
import subprocess
import time
from ipaddress import IPv4Address

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.bench.figures import Bench
from tests.lab import Lab, Node, wait_for
from tests.lab.traffic import start_program, stop_program
from tests.labs.pair import YAML, Duo, pair, prefer_alpha

PEERS, ACTIVE = 1000, 50
PORT = 20000
ALL_SECONDS, ACTIVE_SECONDS = 1.5, 0.5
RUNS = int(os.environ.get("BENCH_TAKEOVERS", "3"))
SERVER, NOBODY = "203.0.113.1", "198.51.100.250"


def private(index: int) -> bytes:
    return hashlib.sha256(f"bench takeover peer {index}".encode()).digest()


def public(index: int) -> str:
    return base64.b64encode(
        X25519PrivateKey.from_private_bytes(private(index)).public_key().public_bytes_raw()
    ).decode()


def site(away: int) -> str:
    """The pair with 1,000 peers at the server, and `away` more where nobody is."""
    lines = []
    for index in range(PEERS + away):
        address, where = IPv4Address("10.20.1.0") + index, SERVER if index < PEERS else NOBODY
        end = f'endpoint: "{where}:{PORT + index}", keepalive: 25'
        lines.append(f'      p{index}: {{{{public_key: "{public(index)}", address: {address}, {end}}}}}\n')
    return YAML.replace("10.20.0.1/24", "10.20.0.1/16").replace("firewall:\n", "".join(lines) + "firewall:\n")


class Responder:
    """The peers' side."""

    def __init__(self, node: Node, gateway: str) -> None:
        keys = [private(index).hex() for index in range(PEERS)]
        text = json.dumps({"keys": keys, "gateway": base64.b64decode(gateway).hex()}) + "\n"
        self.program: subprocess.Popen[str] = start_program(node, "responder.py", str(PORT), stdin=text)

    def ask(self, line: str) -> list[float]:
        """When each was back last."""
        assert self.program.stdin and self.program.stdout
        self.program.stdin.write(line + "\n")
        self.program.stdin.flush()
        return [float(each) for each in json.loads(self.program.stdout.readline())]


def measure(bench: Bench) -> None:
    for away in (0, PEERS):
        with Lab(f"bench-takeover-{away}") as lab:
            duo = Duo(lab, yaml=site(away)).build()
            responder = Responder(duo.internet, duo.keys["office"].public)
            duo.boot()
            everybody, active = _runs(bench, duo, responder, away)
            stop_program(responder.program)
        beside = f", and {away} that are away" if away else ""
        bench.note(
            f"takeover with {PEERS} live peers{beside}: all back after {_spread(everybody)} (to reach {ALL_SECONDS}), "
            f"the {ACTIVE} that were active last after {_spread(active)} (to reach {ACTIVE_SECONDS})"
        )


def _runs(bench: Bench, duo: Duo, responder: Responder, away: int) -> tuple[list[float], list[float]]:
    everybody, active = [], []
    for run in range(RUNS):
        prefer_alpha(duo)
        since = pair(duo.alpha)["takeover"]["told"]
        wait_for(lambda since=since: min(responder.ask("when")) > since, 60, "all peers talk to alpha", 0.2)  # type: ignore[misc]
        # The boxes tell each other who was active in steps of 5 s, and 1,000 peers are read once a second.
        _pass(5.0)
        responder.ask(f"speak {ACTIVE}")
        _pass(2.5)
        duo.alpha.power_cut()
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 10, "bravo is master")
        master = pair(duo.bravo)["takeover"]["told"]
        wait_for(lambda master=master: min(responder.ask("when")) > master, 30, "all peers talk to bravo", 0.1)  # type: ignore[misc]
        back = [at - master for at in responder.ask("when")]
        everybody.append(max(back))
        active.append(max(back[:ACTIVE]))
        bench.say(
            f"takeover, {away} away, run {run + 1} of {RUNS}: {PEERS} peers back after {max(back):.2f} s, half of them "
            f"after {statistics.median(back):.2f} s, the last active {ACTIVE} after {max(back[:ACTIVE]):.2f} s"
        )
        duo.alpha.boot()
    return everybody, active


def _pass(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() > end, seconds + 5, "time passes")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f}-{max(values):.2f})"
