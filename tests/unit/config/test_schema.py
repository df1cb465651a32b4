"""The JSON Schema says to an editor what `check` says about single values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from appliance.core.check import check
from appliance.core.document import read_document
from appliance.core.problems import ConfigurationError
from appliance.core.schema import DIALECT, json_schema
from tests.unit.config.cases import CASES
from tests.unit.config.examples import EXAMPLE, OFFICE

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def objects() -> Iterator[dict[str, Any]]:
    return (node for node in nodes(SCHEMA) if node.get("type") == "object")


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT
    assert not [node for node in nodes(SCHEMA) if "ge" in node or "le" in node]


def test_the_example_is_valid() -> None:
    assert not list(VALIDATOR.iter_errors(read_document(EXAMPLE).value))


@pytest.mark.parametrize(
    "folder", [case for case in CASES if case.name.startswith("sound-")], ids=lambda folder: folder.name
)
def test_what_check_accepts_is_valid(folder: Path) -> None:
    value = read_document((folder / "appliance.yaml").read_bytes()).value
    assert not list(VALIDATOR.iter_errors(value))


def test_every_mapping_is_closed() -> None:
    for node in objects():
        assert node["additionalProperties"] is False


def test_every_key_is_described() -> None:
    for node in objects():
        for name, field in node.get("properties", {}).items():
            assert field.get("description"), name


def test_nothing_may_be_empty() -> None:
    assert not [node for node in nodes(SCHEMA) if node.get("type") == "null"]


@pytest.mark.parametrize(
    "more",
    [
        "sight: zurich\n",
        "dns: []\n",
        "dns:\n",
        "tunnels: {Office: {addresses: 10.20.0.1/24}}\n",
        "tunnels: {a-name-too-long: {addresses: 10.20.0.1/24}}\n",
        "tunnels: {office: {addresses: []}}\n",
        "tunnels: {office: {addresses: 10.20.0.1/24, mtu: 100}}\n",
        "tunnels: {office: {addresses: 10.20.0.1/24, mtu: big}}\n",
        "tunnels: {office: {addresses: 10.20.0.1/24, listen_port: 70000}}\n",
        "tunnels: {office: {addresses: 10.20.0.1/24, listen_port: '51820'}}\n",
        "tunnels: {office: {addresses: 10.20.0.1/24, peers: {a: {public_key: abc, address: 10.20.0.2}}}}\n",
        "firewall: {allow: [{from: lan}]}\n",
        "firewall: {allow: [{from_: lan, to: wan}]}\n",
        "firewall: {allow: [{from: lan, to: wan, services: [htps]}]}\n",
        "firewall: {allow: {from: lan, to: wan}}\n",
        "firewall: {mss_clamp: 10}\n",
    ],
)
def test_an_editor_and_check_refuse_the_same(more: str) -> None:
    content = (OFFICE + more).encode()
    assert list(VALIDATOR.iter_errors(read_document(content).value))
    with pytest.raises(ConfigurationError):
        check(content)


@pytest.mark.parametrize("dns", ["9.9.9.9", "[9.9.9.9]", "[9.9.9.9, 149.112.112.112]"])
def test_one_value_or_a_list_of_them(dns: str) -> None:
    content = (OFFICE + f"dns: {dns}\n").encode()
    assert not list(VALIDATOR.iter_errors(read_document(content).value))
    assert check(content)
