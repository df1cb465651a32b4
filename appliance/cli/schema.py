"""Prints a JSON Schema: of appliance.yaml, with which editors complete and check; of the answer of
`appliance status --json`, on which programs may rely (docs/status.md).

example:
  appliance schema > appliance.schema.json
  appliance schema status > status.schema.json"""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=("file", "status"), default="file", help="default: file")


def run(options: argparse.Namespace) -> int:
    if options.what == "status":
        from appliance.core.status_schema import json_schema
    else:
        from appliance.core.schema import json_schema
    print(json.dumps(json_schema(), indent=2))
    return 0
