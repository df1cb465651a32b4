"""1,000 peers: from nothing to ready beside wg-quick, and one changed peer beside wg syncconf.

    ours (a booted box)                               theirs (another one, its supervisor stopped)
    appliance apply FILE                              wg-quick up wg0
    appliance apply FILE                              wg syncconf wg0 <(wg-quick strip wg0)

Each peer has an address, a /24 of its own and, on our side, a firewall rule; wg-quick writes none, and wg syncconf
sets no route. Both commands are timed whole; ours has read everything back when it returns. When the change runs is
timed as well, by what the kernel tells (tests/bench/running.py), from the start of the command's own work: what
`python3 -I -c pass` takes at the same place is taken off.
"""

from __future__ import annotations

import statistics
import time

from tests.bench.boxes import boot_to_ready, confirm, gate, request, seconds, start_to_ready
from tests.bench.figures import Bench, spread
from tests.bench.running import NewRoute
from tests.bench.sites import gate as site
from tests.bench.sites import wg_quick
from tests.lab import Box, Lab, genkey, wait_for
from tests.labs.office import in_order

PEERS = 1000
FILE = "/data/new.yaml"
CONF = "/etc/wireguard/wg0.conf"
SYNC = ("bash", "-c", "wg syncconf wg0 <(wg-quick strip wg0)")
READY_RUNS = 4
CHANGE_RUNS = 9
RUNNING_RUNS = 15
PROMISED_MS = 100.0
MORE = "10.250.{}.0/24"


def measure(bench: Bench) -> None:
    with Lab("bench-peers") as lab:
        ours, theirs = gate(lab, "ours"), gate(lab, "theirs")
        theirs.run("systemctl", "stop", "appliance")
        private = genkey().private
        _ready(bench, ours, theirs, private)
        _change(bench, ours, theirs, private)
        _running(bench, ours)
        _boot(bench, ours)


def _apply(box: Box, text: str) -> float:
    box.put(FILE, text)
    took = seconds(box, "appliance", "apply", FILE)
    confirm(box)
    return took


def _count(box: Box, device: str) -> None:
    found = len(box.sh(f"wg show {device} peers").splitlines())
    assert found == PEERS, f"{box.name} has {found} peers instead of {PEERS}"


def _ready(bench: Bench, ours: Box, theirs: Box, private: str) -> None:
    mine: list[float] = []
    other: list[float] = []
    theirs.put(CONF, wg_quick(private, PEERS), 0o600)
    for run in range(READY_RUNS):
        bench.say(f"ready with {PEERS} peers, run {run + 1} of {READY_RUNS}")
        _apply(ours, site(0))
        if run:
            theirs.run("wg-quick", "down", "wg0")
        mine.append(_apply(ours, site(PEERS)))
        _count(ours, "wg-office")
        other.append(seconds(theirs, "wg-quick", "up", "wg0"))
        _count(theirs, "wg0")
    bench.lower("ready-1000-peers", "s", mine, other, "wg-quick up", 30)
    bench.note(f"ready with {PEERS} peers: ours {spread(mine, 's', 2)}; wg-quick up {spread(other, 's', 1)}")


def _change(bench: Bench, ours: Box, theirs: Box, private: str) -> None:
    bench.say(f"one change among {PEERS} peers")
    commands: dict[str, list[float]] = {"network": [], "keepalive": [], "nothing": []}
    requests: dict[str, list[float]] = {"network": [], "keepalive": [], "nothing": []}
    synced: list[float] = []
    for run in range(CHANGE_RUNS):
        more = MORE.format(2 * run)
        commands["network"].append(_apply(ours, site(PEERS, more)))
        theirs.put(CONF, wg_quick(private, PEERS, more), 0o600)
        synced.append(seconds(theirs, *SYNC))
        commands["keepalive"].append(_apply(ours, site(PEERS, more, 20 + run)))
        requests["keepalive"].append(request(ours, "apply", site(PEERS, more)))
        requests["network"].append(request(ours, "apply", site(PEERS, MORE.format(2 * run + 1))))
        requests["nothing"].append(request(ours, "apply", site(PEERS, MORE.format(2 * run + 1))))
        commands["nothing"].append(_apply(ours, site(PEERS, MORE.format(2 * run + 1))))
    assert more in theirs.sh("wg show wg0 allowed-ips")
    bench.lower(
        "change-1-of-1000",
        "ms",
        [each * 1000 for each in commands["network"]],
        [each * 1000 for each in synced],
        "wg syncconf <(wg-quick strip), no routes",
        1,
    )
    for kind in commands:
        whole, asked = (spread([each * 1000 for each in values], "ms") for values in (commands[kind], requests[kind]))
        bench.note(f"one peer's {kind} changed of {PEERS}: whole command {whole}, control socket alone {asked}")


def _running(bench: Bench, ours: Box) -> None:
    """From the command's start of work until firewall, engine and kernel have the change."""
    interpreter, running = [], []
    for run in range(RUNNING_RUNS):
        ours.put(FILE, site(PEERS, MORE.format(100 + run)))
        interpreter.append(seconds(ours, "python3", "-I", "-c", "pass") * 1000)
        route, started = NewRoute(ours), time.monotonic()
        ours.run("appliance", "apply", FILE)
        running.append(route.seconds_since(started) * 1000)
        confirm(ours)
    start = statistics.median(interpreter)
    bench.lower(
        "change-1-of-1000-runs", "ms", [each - start for each in running], [PROMISED_MS], "what was promised", 1
    )
    bench.note(
        f"one peer's network changed of {PEERS}: runs after {spread(running, 'ms')},"
        f" of which starting Python {spread(interpreter, 'ms')}"
    )


def _boot(bench: Bench, ours: Box) -> None:
    began, started = [], []
    for run in range(3):
        bench.say(f"boot with {PEERS} peers, run {run + 1} of 3")
        ours.power_cut()
        ours.boot()
        wait_for(lambda: ours.sh("systemctl is-active appliance", check=False) == "active", 10, "the service is ready")
        in_order(ours, 10)
        _count(ours, "wg-office")
        began.append(boot_to_ready(ours) * 1000)
        started.append(start_to_ready(ours) * 1000)
    bench.note(
        f"power on to ready with {PEERS} peers {spread(began, 'ms')};"
        f" of that the service's own start {spread(started, 'ms')}"
    )
