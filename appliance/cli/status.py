"""Shows uplinks, tunnels and peers as the system says at this moment.
"up" means that data went both ways in the last three minutes.
Exit code 0: shown, and all is as the configuration says; 2: shown, something differs; 1: error.

example:
  appliance status
  appliance status --watch
  appliance status --json"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.cli.client import ask
from appliance.cli.columns import coloured, say, table
from appliance.cli.failure import Failure
from appliance.shell import tuning

WATCH_SECONDS = 3.0
"""After so long a screen that follows says that nobody answers."""
NETWORK_TITLES = ("network", "device", "cable", "mtu", "gateway", "addresses")
PEER_TITLES = ("peer", "state", "endpoint", "handshake", "received", "sent", "networks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="everything, for programs (docs/status.md)")
    how.add_argument("--watch", action="store_true", help="a screen that follows; q ends it")


def run(options: argparse.Namespace) -> int:
    if options.watch:
        return _watch(options)
    status = ask(options, {"verb": "status"})["status"]
    status["hardware"] = [
        {"of": each.subject, "what": each.name, "now": each.now, "wanted": each.wanted, "why": each.why}
        for each in tuning.look(options.root)
    ]
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        _print(status)
    return 2 if status["pending"] or status["warnings"] else 0


def _watch(options: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure("--watch draws on a terminal, and this is none; for programs there is: appliance status --json")
    from appliance.cli.watching.app import watch

    watch(lambda: dict(ask(options, {"verb": "status"}, WATCH_SECONDS)["status"]))
    return 0


def _print(status: dict[str, Any]) -> None:
    if status["box"] is None:
        say("no configuration yet: appliance apply FILE")
    else:
        firewall = "firewall stands" if status["firewall"]["stands"] else coloured("red", "firewall differs")
        forwarding = "forwarding" if status["forwarding"] else coloured("yellow", "not forwarding")
        who = f"{coloured('bold', status['site'])}, box {coloured('bold', status['box'])} ({status['role']})"
        say(f"{who}: {firewall}, {forwarding}")
    if status.get("update"):
        say(f"system update: {status['update']}")
    lines = _trial(status) + _bundles(status.get("bundles")) + _pair(status.get("pair"))
    say(*lines, *_hardware(status.get("hardware", [])))
    say(*(f"{coloured('yellow', 'note:')} {warning}" for warning in status["warnings"]))
    say(*(f"{coloured('yellow', 'in time:')} {notice}" for notice in status["notices"]))
    say(*(f"{coloured('yellow', 'differs:')} {step}" for step in status["pending"]))
    if status["interfaces"]:
        gateways = {uplink["name"]: " ".join(uplink["gateways"]) for uplink in status["uplinks"]}
        say(*table(NETWORK_TITLES, (_network(link, gateways) for link in status["interfaces"])))
    for tunnel in status["tunnels"]:
        addresses = " ".join(address for address in tunnel["addresses"] if not address.startswith("fe80:"))
        old = f"; the box's old one, until {tunnel['expires']} at the latest" if tunnel["replaced_by"] else ""
        say(
            f"{coloured('bold', tunnel['name'])} ({tunnel['device']}): engine {tunnel['engine'] or 'none'}, port "
            f"{tunnel['listen_port'] or '-'}, mtu {tunnel['mtu'] or '-'}, {addresses}",
            f"  public key {tunnel['public_key']}{old}",
        )
        say(*table(PEER_TITLES, map(_peer, tunnel["peers"])))


def _network(link: dict[str, Any], gateways: Mapping[str, str]) -> Sequence[str]:
    cable = ("green", "in") if link["carrier"] else ("red", "out") if link["present"] else ("red", "no such device")
    addresses = "\n".join(address for address in link["addresses"] if not address.startswith("fe80:"))
    if "lease" in link and not addresses:
        addresses = "asking for a lease" if link["lease"]["here"] else "the lease is the master's"
    if "session" in link and not link["session"]["up"]:
        trouble = link["session"]["trouble"] or ("dialling" if link["session"]["dials"] else "does not dial")
        addresses = "the session is the master's" if link["session"]["elsewhere"] else trouble
    mtu = str(link.get("session", link)["mtu"] or "")
    return (link["name"], link["device"], coloured(*cable), mtu, gateways.get(link["name"], ""), addresses)


def _peer(peer: dict[str, Any]) -> Sequence[str]:
    return (
        peer["name"],
        coloured({"up": "green", "idle": "yellow"}.get(peer["state"], "red"), peer["state"]),
        peer["endpoint"] or "-",
        age(peer["last_seen_seconds"]),
        _size(peer["received_bytes"]),
        _size(peer["sent_bytes"]),
        " ".join(peer["allowed_ips"]),
    )


def age(seconds: float | None) -> str:
    """How long ago, in words."""
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 172_800 else f"{seconds / 86400:.0f} days ago"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _hardware(settings: list[dict[str, Any]]) -> list[str]:
    """Cards and processor in a line, and what differs in one each."""
    if not settings:
        return []
    lines = [
        f"{coloured('yellow', 'not tuned:')} {each['of']}: {each['what']} is {each['now']}, better {each['wanted']}: "
        f"{each['why']}"
        for each in settings
        if each["now"] != each["wanted"]
    ]
    tuned = sorted({each["of"] for each in settings if each["now"] == each["wanted"]})
    return ([f"tuned for forwarding: {' '.join(tuned)} (what and why: --json)"] if tuned else []) + lines


def _trial(status: dict[str, Any]) -> list[str]:
    """What runs by its number, and whether it is to stay."""
    if trial := status["trial"]:
        both = ", on both boxes" if trial["both_boxes"] else ""
        lines = [
            f"{coloured('yellow', 'on trial:')} generation {trial['generation']} of {trial['origin']}{both}; without "
            f"`appliance confirm` from a new session it goes in {trial['seconds_left']:.0f} s"
        ]
        return lines + [f"{coloured('yellow', 'not seen yet:')} {fact}" for fact in trial["not_seen_yet"]]
    lines = [f"generation {status['generation']}"] if status["generation"] else []
    if last := status["last_rollback"]:
        back = coloured("yellow", f"generation {last['number']} went back")
        lines.append(f"{back} at {_clock(last['ended'])}: {last['why']}")
    return lines


def _bundles(bundles: dict[str, Any] | None) -> list[str]:
    """What became of the last bundle, and to whom secrets for this box are sealed."""
    if not bundles:
        return []
    lines = []
    if last := bundles["last"]:
        why = f": {last['why']}" if last.get("why") else ""
        colour = {"applied": "green"}.get(last["outcome"], "yellow")
        serial = f" {last['serial']}" if last["serial"] != "0" else ""
        lines.append(f"last bundle{serial}: {coloured(colour, last['outcome'])} at {last['at']}{why}")
    if (fetch := bundles["fetch"]) and (said := fetch["last"]):
        trouble = "" if said["good"] else f"{coloured('yellow', 'not now:')} "
        lines.append(f"bundles are fetched; {_clock(said['at'])}: {trouble}{said['text']}")
    if bundles["age_recipient"]:
        lines.append(f"secrets for this box are sealed to {bundles['age_recipient']}")
    return lines


def _pair(pair: dict[str, Any] | None) -> list[str]:
    """The pair in words: who this box is and why, what the other one says, and how the last takeover went."""
    if pair is None:
        return []
    colour = "green" if pair["role"] == "master" else ""
    lines = [f"{coloured(colour, pair['role'])} since {_clock(pair['since'])}: {pair['why']}"]
    if pair["not_ready"]:
        lines.append(f"{coloured('yellow', 'would not take over:')} {'; '.join(pair['not_ready'])}")
    partner = pair["partner"]
    if partner is None:
        lines.append(coloured("yellow", "the other box was not heard yet"))
    elif not partner["alive"]:
        silent = coloured("yellow", f"{partner['box']} is not heard")
        lines.append(f"{silent} for {partner['heard_ago']:.0f} s; it was {partner['role']}")
    else:
        lines.append(
            f"{partner['box']}: {partner['role']}, {'ready' if partner['ready'] else 'not ready'}, {_step(partner)}"
        )
    if took := pair["takeover"]:
        phases = [("connections", "committed"), ("tunnels up", "unmuted"), ("first peer", "first_handshake")]
        phases.append(("last active peer", "last_active_back"))
        found = [f"{word} {took[phase] * 1000:.0f} ms" for word, phase in phases if took[phase] is not None]
        if took["called"]:
            found.append(f"{took['answered']} of {took['called']} peers answered")
        lines.append(f"last takeover at {_clock(took['told'])}: {', '.join(found)}")
    return lines + [f"{coloured('yellow', 'note:')} {note}" for note in pair["notes"]]


def _step(partner: dict[str, Any]) -> str:
    if partner["in_step"]:
        return "in step"
    if partner["ahead"]:
        return coloured("yellow", f"not in step: {partner['ahead']} is ahead")
    apart = "not in step: the boxes were changed apart; `appliance apply` on one of them settles it"
    return coloured("yellow", apart)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
