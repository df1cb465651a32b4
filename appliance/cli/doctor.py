"""Says what is wrong and why, in one sentence for each cause, with what shows it and what to do.
It asks gateways, name servers and peers, and listens meanwhile: 6 seconds, 12 where a peer keeps silent or somebody
calls. It changes nothing. Let whoever complains try again while it runs: what the firewall drops is seen as it happens.
Exit code 0: nothing wrong was found; 2: something is wrong; 1: error.

example:
  sudo appliance doctor
  sudo appliance doctor --json"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
from dataclasses import asdict
from typing import Any

from appliance.cli.client import SilentSupervisor, ask
from appliance.cli.failure import Failure
from appliance.core.doctor.finding import Diagnosis
from appliance.shell.paths import Paths

SCHEMA = 1
PATIENCE = 10.0
"""Seconds; a supervisor that does not tell the status by then hangs: it does so in tens of milliseconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the findings, for programs")


def run(options: argparse.Namespace) -> int:
    found = _diagnosis(options)
    if options.json:
        print(json.dumps({"schema": SCHEMA, **asdict(found)}, indent=2))
    else:
        _print(found)
    return 2 if found.findings else 0


def _diagnosis(options: argparse.Namespace) -> Diagnosis:
    from appliance.core.doctor.diagnose import diagnose
    from appliance.shell import doctoring

    paths = Paths(options.root)

    def status() -> dict[str, Any]:
        return dict(ask(options, {"verb": "status"}, PATIENCE)["status"])

    try:
        rules = _rules(options, status())
        evidence = doctoring.gather(status, paths, rules.partners_addresses() if rules else ())
    except SilentSupervisor as silent:
        found = doctoring.supervisor_silent(paths)
        if found is None:
            raise Failure("this is not a box; run it where the supervisor does") from silent
        return diagnose(found)
    except PermissionError:
        raise Failure("listening to the network needs root; put sudo before it") from None
    except doctoring.Refused as error:
        raise Failure(str(error)) from None
    return diagnose(evidence, rules)


def _rules(options: argparse.Namespace, status: dict[str, Any]) -> Any:
    """The file that runs: the one that is edited, where it is the same, so that its lines are those one sees."""
    from appliance.core.check import validated
    from appliance.core.doctor.firewall import Rules
    from appliance.core.firewall.zones import Site
    from appliance.core.pppoe import as_packets_meet_it
    from appliance.core.problems import ConfigurationError

    if not status["box"]:
        return None
    try:
        content = Paths(options.root).configuration.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != status["configuration"]:
        if not status["generation"] or status["trial"]:
            return None
        answer = ask(options, {"verb": "history", "generation": status["generation"]}, PATIENCE)
        content = base64.b64decode(answer["file"])
    try:
        config, document = validated(content)
    except ConfigurationError:
        return None
    return Rules(Site(as_packets_meet_it(config), status["box"], document.line))


def _print(found: Diagnosis) -> None:
    for number, finding in enumerate(found.findings, 1):
        print(f"{number}. {finding.sentence}")
        for line in finding.evidence:
            print(f"   seen: {line}")
        print(f"   do:   {finding.remedy}")
    if not found.findings:
        print("nothing wrong was found")
    for line in found.untold:
        print(f"not told: {line}")
