"""Prints the JSON Schema of appliance.yaml, made from the model; editors complete and check with it.

example:
  appliance schema > appliance.schema.json"""

from __future__ import annotations

import argparse
import json

from appliance.core.schema import json_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace) -> int:
    del options
    print(json.dumps(json_schema(), indent=2))
    return 0
