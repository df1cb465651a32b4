"""The answer to `status` → metrics, named as Prometheus' exporters name theirs (docs/monitoring/README.md).

Labels say names and words of the configuration: no key, no address, no secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from appliance.core.status_words import ROLES, leads_out

GAUGE, COUNTER, SUMMARY = "gauge", "counter", "summary"
PHASES = ("committed", "unmuted", "first_handshake", "last_active_back")
REASONS = {"dropped_input": "input", "dropped_forward": "forward", "invalid": "invalid", "spoofed": "spoofed"}
"""The named counters of our table (core/firewall/ruleset.py), and what the label says."""


class Family(NamedTuple):
    """A metric; each sample is the values of its labels, and its own: of a summary, how many and their sum."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    samples: tuple[tuple[tuple[str, ...], tuple[float, ...]], ...]


def families(status: dict[str, Any] | None) -> Iterator[Family]:
    """`status` None: the supervisor does not answer, which is all that is known."""
    yield _one("appliance_supervisor_up", "Whether the supervisor answers.", status is not None)
    if status is None:
        return
    yield from _box(status)
    yield from _trial(status)
    yield from _networks(status)
    yield from _peers(status["tunnels"])
    if status.get("pair"):
        yield from _pair(status["pair"])


def _box(status: dict[str, Any]) -> Iterator[Family]:
    who = (status["version"], status["site"] or "", status["box"] or "")
    yield Family("appliance_info", GAUGE, "What this box is.", ("version", "site", "box"), ((who, (1.0,)),))
    roles = [((role,), role == status["role"]) for role in ROLES]
    yield _many("appliance_role", GAUGE, "1 for the role that the box has.", ("role",), roles)
    yield _one("appliance_pending_changes", "Steps by which the system differs from its file.", len(status["pending"]))
    yield _one("appliance_warnings", "Sentences in `appliance status` that begin with note.", len(status["warnings"]))
    yield _one("appliance_forwarding_enabled", "Whether the box forwards.", status["forwarding"])
    yield _one("appliance_firewall_up", "Whether the table stands as it was loaded.", status["firewall"]["stands"])
    dropped = [((REASONS[name],), count) for name, count in status["firewall"]["counters"].items() if name in REASONS]
    text = "Packets that were dropped: to the box, to be forwarded, of no connection, with a false source."
    yield _many("appliance_firewall_dropped_packets", COUNTER, text, ("reason",), dropped)
    applied = status["applied"]
    counts = (float(applied["times"]), float(applied["seconds"]))
    text = "How long configurations took to run and to be read back, since the supervisor's start."
    yield Family("appliance_apply_duration_seconds", SUMMARY, text, (), (((), counts),))
    if status["time_floor"]:
        text = "No handshake of this box is dated before this; seconds since 1970."
        yield _one("appliance_time_floor_timestamp_seconds", text, status["time_floor"])


def _trial(status: dict[str, Any]) -> Iterator[Family]:
    trial = status["trial"]
    yield _one("appliance_configuration_generation", "The confirmed generation, 0 for none.", status["generation"] or 0)
    yield _one("appliance_trial_active", "Whether a configuration is on trial.", trial is not None)
    yield _one("appliance_trial_remaining_seconds", "Until it goes back.", trial["seconds_left"] if trial else 0)
    yield _one(
        "appliance_last_trial_rolled_back", "Whether the last one went back.", status["last_rollback"] is not None
    )


def _networks(status: dict[str, Any]) -> Iterator[Family]:
    links = [((each["name"],), each["carrier"]) for each in status["interfaces"]]
    yield _many("appliance_interface_carrier", GAUGE, "Whether the cable is in.", ("interface",), links)
    uplinks = [((each["name"],), leads_out(each, status.get("pair"))) for each in status["uplinks"]]
    text = "Whether the cable is in and a gateway is known or a session up; in a pair also whether the gateway answers."
    yield _many("appliance_uplink_up", GAUGE, text, ("uplink",), uplinks)
    tunnels = [((each["name"], each["engine"] or "none"), 1) for each in status["tunnels"]]
    yield _many("appliance_tunnel_info", GAUGE, "What runs the tunnel.", ("tunnel", "engine"), tunnels)


def _peers(tunnels: Sequence[dict[str, Any]]) -> Iterator[Family]:
    found = [(tuple(each["name"].split(".", 1)), each) for tunnel in tunnels for each in tunnel["peers"]]
    labels = ("tunnel", "peer")

    def of(name: str, kind: str, text: str, values: Iterable[tuple[tuple[str, ...], float | None]]) -> Family:
        return _many(f"appliance_peer_{name}", kind, text, labels, [each for each in values if each[1] is not None])

    text = "Whether data went both ways in the last three minutes."
    yield of("up", GAUGE, text, ((who, each["state"] == "up") for who, each in found))
    text = "Since the last handshake; absent where there was none."
    yield of("handshake_age_seconds", GAUGE, text, ((who, each["handshake_age_seconds"]) for who, each in found))
    yield of("received_bytes", COUNTER, "Bytes from the peer.", ((who, each["received_bytes"]) for who, each in found))
    yield of("sent_bytes", COUNTER, "Bytes to the peer.", ((who, each["sent_bytes"]) for who, each in found))


def _pair(pair: dict[str, Any]) -> Iterator[Family]:
    partner = pair["partner"]
    text = "Whether this box would take over."
    yield _one("appliance_pair_ready", text, pair["ready"])
    yield _one("appliance_pair_partner_up", "Whether the other box is heard.", bool(partner and partner["alive"]))
    text = "Whether both boxes have the same configuration."
    yield _one("appliance_pair_in_step", text, bool(partner and partner["in_step"]))
    text = "How often this box became master since its supervisor's start."
    yield _many("appliance_takeovers", COUNTER, text, (), [((), pair["takeovers"])])
    if last := pair["takeover"]:
        yield _one("appliance_takeover_timestamp_seconds", "When the last one began; since 1970.", last["told"])
        text = "After the beginning of the last takeover."
        phases = [((phase,), last[phase]) for phase in PHASES if last[phase] is not None]
        yield _many("appliance_takeover_phase_seconds", GAUGE, text, ("phase",), phases)


def _one(name: str, text: str, value: float) -> Family:
    return _many(name, GAUGE, text, (), [((), value)])


def _many(
    name: str, kind: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], Any]]
) -> Family:
    return Family(name, kind, text, labels, tuple((values, (float(value),)) for values, value in samples))
