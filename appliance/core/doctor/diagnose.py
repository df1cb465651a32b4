"""From evidence to findings. Each layer stands on the one below: what is wrong there explains what is wrong above, and
only the cause is told."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.doctor.box import box, supervisor
from appliance.core.doctor.evidence import Evidence
from appliance.core.doctor.finding import Diagnosis, Finding
from appliance.core.doctor.firewall import Rules, dropped, dropped_here, spoofed
from appliance.core.doctor.overlaps import overlaps
from appliance.core.doctor.pair import pair, two_masters
from appliance.core.doctor.tunnels import tunnels
from appliance.core.doctor.uplinks import clock, dead, names, uplinks


def diagnose(evidence: Evidence, rules: Rules | None = None) -> Diagnosis:
    """`rules` is the file that runs, where it could be read."""
    found = list(_found(evidence, rules))
    if not found:
        # What the supervisor says by itself is often a consequence, and always less than a cause.
        found = [
            Finding(
                "status", "", f"{sentence.rstrip('.')}.", ("`appliance status` says so",), "do what the sentence says"
            )
            for sentence in evidence.sentences
        ]
    return Diagnosis(tuple(found), tuple(_untold(evidence)) if not evidence.supervisor else ())


def _found(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    stopped = list(supervisor(evidence))
    yield from stopped
    yield from box(evidence)
    if stopped or not evidence.box:
        return
    yield from pair(evidence)
    cables = list(uplinks(evidence, rules))
    yield from cables
    yield from overlaps(evidence, rules)
    if not dead(evidence, cables) and not two_masters(evidence):
        names_wrong = list(names(evidence))
        yield from names_wrong
        yield from clock(evidence)
        yield from tunnels(evidence, rules, any(each.cause == "dns-silent" for each in names_wrong))
    yield from spoofed(evidence, rules)
    yield from dropped(evidence, rules)
    yield from dropped_here(evidence, rules)


def _untold(evidence: Evidence) -> Iterator[str]:
    if not evidence.clock.synchronised and evidence.clock.offset is None:
        yield "the clock is not kept by a time server, and none could be asked: whether it is right is not known"
