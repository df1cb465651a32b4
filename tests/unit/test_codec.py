"""Values survive the way from the child that compiles to the supervisor."""

from __future__ import annotations

import json
from pathlib import Path

from appliance.core.codec import from_json, to_json
from appliance.core.desired import compile_box
from appliance.core.state import Desired, Observed, ObservedLink, Route

EXAMPLE = Path(__file__).parents[2] / "docs/appliance.example.yaml"


def test_the_examples_desired_state_survives() -> None:
    desired = compile_box(EXAMPLE.read_bytes(), "alpha")
    assert from_json(Desired, json.loads(json.dumps(to_json(desired)))) == desired


def test_what_was_observed_survives() -> None:
    observed = Observed(
        links={"enp1s0": ObservedLink("enp1s0", "", True, False, 1500, addresses=frozenset({"b", "a"}))},
        routes=frozenset({Route("10.0.0.0/8", "enp1s0", mtu=1400)}),
        resolved={"name": ("192.0.2.1",)},
    )
    assert from_json(Observed, json.loads(json.dumps(to_json(observed)))) == observed
