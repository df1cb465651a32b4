"""What the journal is told of a pair and of peers, once each, with fields that programs read (docs/status.md)."""

from __future__ import annotations

import logging

from appliance.core.in_force import expired
from appliance.core.state import Desired
from appliance.core.takeover.report import Phases, Report

log = logging.getLogger("appliance.pair")


class Roles:
    """Tells of another role, and how a takeover went when nobody is being called any more."""

    def __init__(self) -> None:
        self.role = ""
        self.told = 0.0

    def look(self, report: Report) -> None:
        if report.role != self.role:
            self.role = report.role
            log.info("%s: %s", report.role, report.why, extra={"ROLE": report.role, "EPOCH": report.epoch})
        went = report.takeover
        if went and went.told != self.told and (went.done or report.muted):
            self.told = went.told
            fields = _milliseconds(went)
            shown = ", ".join(f"{name.lower().removesuffix('_ms')} {value} ms" for name, value in fields.items())
            counts = {"CALLED": went.called, "ANSWERED": went.answered, "GIVEN_UP": went.given_up}
            log.info("the takeover: %s; %d of %d peers answered", shown, went.answered, went.called,
                     extra={**fields, **counts})  # fmt: skip


def _milliseconds(went: Phases) -> dict[str, int]:
    """Only the phases that were reached."""
    found = {
        "COMMITTED_MS": went.committed,
        "UNMUTED_MS": went.unmuted,
        "FIRST_HANDSHAKE_MS": went.first_handshake,
        "LAST_ACTIVE_BACK_MS": went.last_active_back,
    }
    return {name: round(seconds * 1000) for name, seconds in found.items() if seconds is not None}


class Expiries:
    """Tells of each peer whose last day is over."""

    def __init__(self) -> None:
        self.known: frozenset[str] = frozenset()

    def look(self, desired: Desired, at_least: float) -> None:
        """`at_least`: what the time is known to be at least, in seconds since 1970."""
        peers = (peer for tunnel in desired.tunnels for peer in tunnel.peers if not tunnel.replaced_by)
        now = frozenset(peer.name for peer in peers if expired(peer, at_least))
        for name in sorted(now - self.known):
            what = "the old keys of %s count no more" if name.endswith("/old") else "%s has expired and gets in no more"
            log.info(what, name.removesuffix("/old"), extra={"PEER": name})
        self.known = now
