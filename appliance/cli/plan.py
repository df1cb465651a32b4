"""Shows the steps from the running state to FILE, in order, and what they disturb.
Changes nothing. Exit code 0: nothing to do; 2: changes; 1: error.

With --box, shows what that box would do from nothing; needs no running box, no root and no network.

example:
  appliance plan appliance.yaml
  appliance plan --box alpha appliance.yaml"""

from __future__ import annotations

import argparse
import json
from typing import Any

from appliance.cli.client import add_file, ask, file_request, print_plan, read_file, stop_on_problems


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="the plan for programs")
    parser.add_argument("--box", metavar="NAME", help="plan for this box of the file, from nothing")


def run(options: argparse.Namespace) -> int:
    name, content = read_file(options)
    answer = _from_nothing(content, options.box) if options.box else ask(options, file_request("plan", content))
    stop_on_problems(name, answer)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print_plan(answer)
    return 2 if answer["steps"] else 0


def _from_nothing(content: bytes, box: str) -> dict[str, Any]:
    from appliance.core.codec import to_json
    from appliance.core.desired import compile_box
    from appliance.core.plan import plan, shown
    from appliance.core.problems import ConfigurationError
    from appliance.core.state import Observed, ObservedLink

    try:
        desired = compile_box(content, box)
    except ConfigurationError as error:
        return {"problems": [to_json(problem) for problem in error.problems]}
    made = {each.device: each.parent for each in desired.vlans}
    names = {made.get(link.device, link.device): link.mtu or 1500 for link in desired.links}
    cards = {name: ObservedLink(name, "", True, True, mtu) for name, mtu in names.items()}
    secrets = {peer.preshared_key: "" for tunnel in desired.tunnels for peer in tunnel.peers if peer.preshared_key}
    off = dict.fromkeys(desired.sysctls, "0")
    return shown(plan(desired, Observed(links=cards, secrets=secrets, sysctls=off)))
