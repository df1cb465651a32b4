"""What the supervisor answers is what the schema says, key by key: neither may change without the other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from appliance.cli import main
from appliance.core.status_schema import json_schema
from tests.unit.status.answers import alone, pair, unconfigured

GOLDEN = Path(__file__).parent / "status.schema.json"
SCHEMA = json_schema()
ANSWERS = {"unconfigured": unconfigured(), "alone": alone(time.time()), "pair": pair(time.time())}


def closed(value: Any) -> Any:
    """The same, with no other keys than those that it names: a reader is to be lenient, this test is not."""
    if isinstance(value, list):
        return [closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {key: closed(each) for key, each in value.items()}
    return {**made, "additionalProperties": False} if isinstance(value.get("properties"), dict) else made


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_as_the_schema_says_and_has_no_other_key(answer: str) -> None:
    value = json.loads(json.dumps(ANSWERS[answer]))
    errors = jsonschema.Draft202012Validator(closed(SCHEMA)).iter_errors(value)
    assert not [f"{each.json_path}: {each.message}" for each in errors]


def test_an_answer_that_lost_a_key_is_not() -> None:
    lost = {key: value for key, value in ANSWERS["alone"].items() if key != "tunnels"}
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(lost))


def test_what_it_knows_more_does_not_disturb_a_reader() -> None:
    assert not list(jsonschema.Draft202012Validator(SCHEMA).iter_errors({**ANSWERS["pair"], "news": 1}))


def test_every_key_is_described() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for node in nodes(SCHEMA):
        for name, field in node.get("properties", {}).items() if node.get("type") == "object" else ():
            told = field.get("description") or any(each.get("description") for each in field.get("anyOf", ()))
            assert told, name


def test_the_schema_is_the_one_that_was_reviewed(capsys: pytest.CaptureFixture[str]) -> None:
    """A key that goes away or changes its meaning wants another number in `schema`. Written anew by `make golden`."""
    assert main(["schema", "status"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text(encoding="utf-8")
