"""What the metrics of each answer say, and that the files in docs/monitoring name no others."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from appliance.cli.exporter import text
from appliance.core.metrics import families
from tests.unit.status.answers import alone, pair, unconfigured

DOCS = Path(__file__).parents[3] / "docs/monitoring"
ANSWERS = {"unconfigured": unconfigured(), "alone": alone(time.time()), "pair": pair(time.time())}
SUFFIX = {"counter": ("_total",), "summary": ("_count", "_sum"), "gauge": ("",)}
NAMES = {each.name + end for each in families(ANSWERS["pair"]) for end in SUFFIX[each.kind]}


def test_what_they_say() -> None:
    shown = text(ANSWERS["pair"])
    for line in (
        'appliance_role{role="master"} 1.0',
        'appliance_role{role="backup"} 0.0',
        'appliance_peer_up{peer="geneva",tunnel="office"} 1.0',
        'appliance_peer_up{peer="alice",tunnel="office"} 0.0',
        'appliance_peer_received_bytes_total{peer="geneva",tunnel="office"} 5000.0',
        'appliance_firewall_dropped_packets_total{reason="forward"} 3.0',
        'appliance_takeover_phase_seconds{phase="first_handshake"} 0.09',
        "appliance_takeovers_total 2.0",
        'appliance_uplink_up{uplink="wan"} 1.0',
        "appliance_apply_duration_seconds_sum 0.5",
    ):
        assert line in shown.splitlines(), shown
    age = re.search(r'appliance_peer_handshake_age_seconds\{peer="geneva",tunnel="office"\} (\S+)', shown)
    assert age and 29 < float(age[1]) < 60
    assert 'handshake_age_seconds{peer="alice"' not in shown


def test_an_uplink_whose_gateway_is_silent_is_not_up() -> None:
    found = ANSWERS["pair"]
    assert 'appliance_uplink_up{uplink="wan"} 0.0' in text(
        {**found, "pair": {**found["pair"], "dead_uplinks": ["wan"]}}
    )


def test_an_uplink_that_is_the_masters_or_a_session_is_not_down() -> None:
    """A standby has no gateway where the way is its partner's, and a session never has one."""
    found = ANSWERS["pair"]
    (wan,) = found["uplinks"]

    def up(role: str, **different: Any) -> str:
        pair = {**found["pair"], "role": role, "dead_uplinks": []}
        shown = text({**found, "pair": pair, "uplinks": [{**wan, "gateways": [], **different}]})
        return next(line[-3:] for line in shown.splitlines() if line.startswith("appliance_uplink_up{"))

    assert (up("backup"), up("master"), up("backup", carrier=False)) == ("1.0", "0.0", "0.0")
    session = {"up": True, "elsewhere": False}
    assert up("master", session=session) == "1.0"
    assert up("master", session={**session, "up": False}) == "0.0"
    assert up("backup", session={"up": False, "elsewhere": True}) == "1.0"


def test_a_trial_shows_how_long_it_has() -> None:
    shown = text(ANSWERS["alone"])
    assert "appliance_trial_active 1.0" in shown and "appliance_trial_remaining_seconds 61.2" in shown


def test_no_label_holds_a_key_or_an_address() -> None:
    for answer in ANSWERS.values():
        assert not re.search(r"KEY-|PUBLIC|203\.0\.113|198\.51|10\.20\.0", text(answer))


def test_rules_and_dashboard_and_documentation_name_what_there_is() -> None:
    told = set(re.findall(r"\bappliance_[a-z_]+", (DOCS / "alerts.yml").read_text()))
    told |= {name for words in _expressions(json.loads((DOCS / "dashboard.json").read_text())) for name in words}
    assert told and told <= NAMES, told - NAMES
    documented = (DOCS / "README.md").read_text()
    for family in families(ANSWERS["pair"]):
        end = "_total" if family.kind == "counter" else ""
        assert f"`{family.name.removeprefix('appliance_')}{end}`" in documented, family.name


def _expressions(value: Any) -> list[list[str]]:
    if isinstance(value, list):
        return [found for each in value for found in _expressions(each)]
    if not isinstance(value, dict):
        return []
    own = [re.findall(r"\bappliance_[a-z_]+", value["expr"])] if "expr" in value else []
    return own + [found for each in value.values() for found in _expressions(each)]
