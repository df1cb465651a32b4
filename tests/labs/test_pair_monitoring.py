"""Prometheus reads both boxes of a pair: which one is master, and how often each became it.

The drawing stands in tests/labs/pair.py; Prometheus runs on the office host.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, wait_for
from tests.labs.pair import HOST, YAML, Duo, hand_over, ready

BOXES = {"alpha": "192.168.10.2:9586", "bravo": "192.168.10.3:9586"}
PROMETHEUS = f"""\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: appliance
    static_configs: [{{targets: {json.dumps(list(BOXES.values()))}}}]
"""


@pytest.fixture(scope="module")
def duo() -> Iterator[Duo]:
    with Lab("pair-monitoring", __doc__ or "") as lab:
        made = Duo(lab, yaml=YAML + f"monitoring: {{{{readers: [{HOST}]}}}}\n").build().boot()
        made.settled(made.alpha, 40)
        yield made


def by_box(duo: Duo, words: str) -> dict[str, float]:
    """Prometheus' answer; nothing while it is starting."""
    argv = ["curl", "-s", "-f", "-G", "--data-urlencode", f"query={words}", "http://127.0.0.1:9090/api/v1/query"]
    said = duo.host.run(argv, check=False).stdout
    found: list[dict[str, Any]] = json.loads(said)["data"]["result"] if said else []
    names = {address: name for name, address in BOXES.items()}
    return {names[each["metric"]["instance"]]: float(each["value"][1]) for each in found}


def test_prometheus_sees_the_role_move(duo: Duo, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS)
    argv = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    server = duo.host.popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    master, takeovers = 'appliance_role{role="master"}', "appliance_takeovers_total"
    try:
        wait_for(lambda: by_box(duo, master) == {"alpha": 1.0, "bravo": 0.0}, 30, "both were scraped")
        assert by_box(duo, "up") == {"alpha": 1.0, "bravo": 1.0}
        before = by_box(duo, takeovers)
        ready(duo.bravo)
        hand_over(duo.alpha, "bravo")
        wait_for(lambda: by_box(duo, master) == {"alpha": 0.0, "bravo": 1.0}, 30, "the role is seen to move")
        assert by_box(duo, takeovers) == {"alpha": before["alpha"], "bravo": before["bravo"] + 1}
        duo.bravo.power_cut()
        wait_for(lambda: by_box(duo, "up") == {"alpha": 1.0, "bravo": 0.0}, 30, "a box that is gone shows")
        wait_for(lambda: by_box(duo, master).get("alpha") == 1.0, 30, "and who took over")
        assert by_box(duo, takeovers)["alpha"] == before["alpha"] + 1
    finally:
        server.terminate()
        server.wait(10)
