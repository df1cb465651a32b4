"""Metrics and the screen that follows: Debian's Prometheus on the office host reads a booted box; a host that is not
named gets no answer.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.exporter import text
from tests.lab import Lab, Node, wait_for
from tests.lab.terminal import Terminal
from tests.labs.office import ALICE, OFFICE_HOST, ZURICH, ZURICH_WAN, Office, status
from tests.labs.wiring import fetch
from tests.unit.status.answers import alone, pair, unconfigured

RULES = Path(__file__).parents[2] / "docs/monitoring/alerts.yml"
PORT = 9586
BOX = "192.168.10.1"
STRANGER = "192.168.10.66"
MONITORED = ZURICH + "monitoring: {{readers: [{readers}]}}\n"
PROMETHEUS = """\
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: appliance
    static_configs: [{targets: ["192.168.10.1:9586"]}]
"""


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Office:
    office = Office(shared_lab).build().go_online()
    office.branch_host.ping(OFFICE_HOST, timeout=15)
    office.laptop.ping(OFFICE_HOST, timeout=15)
    return office


def admit(office: Office, readers: str) -> str:
    return office.apply(office.zurich, MONITORED.replace("{readers}", readers))


def metrics(node: Node, address: str = BOX, *options: str) -> str:
    """What it reads there, "" for nothing."""
    argv = ["curl", "-s", "--max-time", "3", *options, f"http://{address}:{PORT}/metrics"]
    return node.run(argv, check=False, timeout=10).stdout


def query(node: Node, words: str) -> dict[str, float]:
    """Prometheus' answer, by peer; nothing while it is starting."""
    argv = ["curl", "-s", "-f", "-G", "--data-urlencode", f"query={words}", "http://127.0.0.1:9090/api/v1/query"]
    said = node.run(argv, check=False).stdout
    found: list[dict[str, Any]] = json.loads(said)["data"]["result"] if said else []
    return {each["metric"].get("peer", ""): float(each["value"][1]) for each in found}


@pytest.mark.parametrize("answer", [unconfigured(), alone(0.0), pair(0.0)], ids=["unconfigured", "alone", "pair"])
def test_promtool_accepts_the_metrics(office: Office, answer: dict[str, Any]) -> None:
    done = office.host.run(["promtool", "check", "metrics"], stdin=text(answer), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_accepts_the_rules(office: Office) -> None:
    assert "9 rules found" in office.host.run("promtool", "check", "rules", str(RULES)).stdout


def test_without_monitoring_nobody_listens(office: Office) -> None:
    assert f":{PORT} " not in office.zurich.sh("ss -Hltn")
    assert metrics(office.host) == ""


def test_prometheus_reads_the_peers_handshake_ages(office: Office, tmp_path: Path) -> None:
    said = admit(office, OFFICE_HOST)
    assert "monitoring: run" in said, said
    wait_for(lambda: bool(metrics(office.host)), 10, "the box shows its metrics")
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS)
    argv = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    server = office.host.popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(query(office.host, "appliance_peer_handshake_age_seconds")) == 2, 20, "it was scraped")
        ages = query(office.host, "appliance_peer_handshake_age_seconds")
        assert set(ages) == {"alice", "geneva"} and all(0 <= age < 180 for age in ages.values()), ages
        assert query(office.host, "appliance_peer_received_bytes_total")["geneva"] > 0
        assert query(office.host, "up") == {"": 1.0}
    finally:
        server.terminate()
        server.wait(10)
    print("Prometheus says when the peers last shook hands, in seconds:", ages)


def test_who_is_not_named_gets_no_answer(office: Office) -> None:
    """Another host of the same network, a colleague in the tunnel, and the internet."""
    assert metrics(office.laptop) == "" and metrics(office.internet, ZURICH_WAN) == ""
    office.host.run("ip", "address", "add", f"{STRANGER}/24", "dev", "eth0")
    assert metrics(office.host, BOX, "--interface", STRANGER) == ""
    assert "appliance_info" in metrics(office.host)
    # Not even where a rule lets it in: the uplink's address is none of those that are listened at.
    listening = office.zurich.sh("ss -Hltn")
    assert ZURICH_WAN not in listening and f"{BOX}:{PORT}" in listening, listening


def test_a_peer_reads_through_the_tunnel_and_nobody_else_does_any_more(office: Office) -> None:
    admit(office, "office.alice")
    wait_for(lambda: bool(metrics(office.laptop, "10.20.0.1")), 10, f"{ALICE} reads")
    assert metrics(office.host) == ""


def test_what_is_read_is_what_status_says_and_no_secret(office: Office) -> None:
    said = metrics(office.laptop, "10.20.0.1")
    keys = [peer["public_key"] for tunnel in status(office.zurich)["tunnels"] for peer in tunnel["peers"]]
    assert office.psk not in said and not [key for key in keys if key in said]
    assert 'appliance_tunnel_info{engine="userspace",tunnel="office"} 1.0' in said
    assert "appliance_apply_duration_seconds_count 3.0" in said
    checked = office.host.run(["promtool", "check", "metrics"], stdin=said, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    print(said)


def test_the_screen_that_follows(office: Office) -> None:
    """On the box's own console: no mouse, no blocks, 80 columns."""
    argv = [word if not word.startswith("TERM=") else "TERM=linux" for word in office.zurich.entry()]
    command = ["script", "-qec", "appliance status --watch", "/dev/null"]
    with Terminal([*argv, *command], office.lab.log) as terminal:
        screen = terminal.shows("geneva")
        assert "zurich zurich: alone" in screen and "via 203.0.113.1" in screen, screen
        assert re.search(r"geneva +up +\d+ s ago", screen), screen
        office.branch_host.ping(OFFICE_HOST)
        wait_for(lambda: re.search(r"geneva +up +\d+ s ago +\S+ k?B", terminal.screen), 10, "a rate is shown")
        terminal.press("q")
        wait_for(lambda: "Pane is dead (status 0" in terminal.screen, 10, "q ends it")
    done = office.zurich.run("appliance", "status", "--watch", check=False)
    assert done.returncode == 1 and "this is none" in done.stderr


def test_the_exporter_may_ask_for_the_status_and_for_nothing_else(office: Office) -> None:
    pid = office.zurich.sh("systemctl show --property=MainPID --value appliance-monitoring.service").strip()
    user = office.zurich.sh(f"ps -o user= -o rss= -p {pid}").split()
    assert user[0] != "root"
    print(f"the exporter is {user[0]}, and takes {int(user[1]) / 1024:.0f} MB")
    asks = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/appliance/control.sock'); "
    asks += 's.sendall(b\'{"verb": "history"}\\n\'); print(s.makefile().readline())'
    argv = ["setpriv", "--reuid=nobody", "--regid=appliance-readers", "--groups=appliance", "python3", "-c", asks]
    assert "only root and the group appliance may do this" in office.zurich.run(argv).stdout


def test_a_supervisor_that_is_gone_shows(office: Office) -> None:
    office.zurich.run("systemctl", "stop", "appliance.service")
    try:
        assert "appliance_supervisor_up 0.0" in metrics(office.laptop, "10.20.0.1")
    finally:
        office.zurich.run("systemctl", "start", "appliance.service")


def test_without_readers_it_ends(office: Office) -> None:
    said = office.apply(office.zurich)
    assert "monitoring: stop" in said, said
    assert f":{PORT} " not in office.zurich.sh("ss -Hltn")
    assert fetch(office.laptop, "10.20.0.1", PORT) == ""
