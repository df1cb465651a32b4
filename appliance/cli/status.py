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
from typing import Any

from appliance.cli.client import ask
from appliance.cli.failure import Failure
from appliance.shell import tuning

WATCH_SECONDS = 3.0
"""After so long a screen that follows says that nobody answers."""


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
    from rich import box
    from rich.console import Console
    from rich.table import Table

    status = _escaped(status)
    console = Console(highlight=False)
    if status["box"] is None:
        console.print("no configuration yet: appliance apply FILE")
    else:
        firewall = "firewall stands" if status["firewall"]["stands"] else "[red]firewall differs[/]"
        forwarding = "forwarding" if status["forwarding"] else "[yellow]not forwarding[/]"
        console.print(
            f"[bold]{status['site']}[/], box [bold]{status['box']}[/] ({status['role']}): {firewall}, {forwarding}"
        )
    if status.get("update"):
        console.print(f"system update: {status['update']}", soft_wrap=True)
    lines = _trial(status) + _bundles(status.get("bundles")) + _pair(status.get("pair"))
    for line in lines + _hardware(status.get("hardware", [])):
        console.print(line, soft_wrap=True)
    for warning in status["warnings"]:
        console.print(f"[yellow]note:[/] {warning}", markup=True)
    for notice in status["notices"]:
        console.print(f"[yellow]in time:[/] {notice}")
    for step in status["pending"]:
        console.print(f"[yellow]differs:[/] {step}")
    links = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("network", "device", "cable", "mtu", "addresses", "gateway"):
        links.add_column(title)
    gateways = {uplink["name"]: " ".join(uplink["gateways"]) for uplink in status["uplinks"]}
    for link in status["interfaces"]:
        cable = "[green]in[/]" if link["carrier"] else "[red]out[/]" if link["present"] else "[red]no such device[/]"
        addresses = "\n".join(address for address in link["addresses"] if not address.startswith("fe80:"))
        if "lease" in link and not addresses:
            addresses = "asking for a lease" if link["lease"]["here"] else "the lease is the master's"
        if "session" in link and not link["session"]["up"]:
            trouble = link["session"]["trouble"] or ("dialling" if link["session"]["dials"] else "does not dial")
            addresses = "the session is the master's" if link["session"]["elsewhere"] else f"[yellow]{trouble}[/]"
        links.add_row(
            link["name"],
            link["device"],
            cable,
            str(link.get("session", link)["mtu"] or ""),
            addresses,
            gateways.get(link["name"], ""),
        )
    if status["interfaces"]:
        console.print(links)
    for tunnel in status["tunnels"]:
        addresses = " ".join(address for address in tunnel["addresses"] if not address.startswith("fe80:"))
        console.print(
            f"[bold]{tunnel['name']}[/] ({tunnel['device']}): engine {tunnel['engine'] or 'none'}, port "
            f"{tunnel['listen_port'] or '-'}, mtu {tunnel['mtu'] or '-'}, {addresses}\n"
            f"  public key {tunnel['public_key']}"
        )
        peers = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("peer", "state", "endpoint", "handshake", "received", "sent", "networks"):
            peers.add_column(title)
        for peer in tunnel["peers"]:
            peers.add_row(
                peer["name"],
                {"up": "[green]up[/]", "idle": "[yellow]idle[/]"}.get(peer["state"], f"[red]{peer['state']}[/]"),
                peer["endpoint"] or "-",
                age(peer["handshake_age_seconds"]),
                _size(peer["received_bytes"]),
                _size(peer["sent_bytes"]),
                " ".join(peer["allowed_ips"]),
            )
        console.print(peers)


def age(seconds: float | None) -> str:
    """How long ago, in words."""
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


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
        f"[yellow]not tuned:[/] {each['of']}: {each['what']} is {each['now']}, better {each['wanted']}: {each['why']}"
        for each in settings
        if each["now"] != each["wanted"]
    ]
    tuned = sorted({each["of"] for each in settings if each["now"] == each["wanted"]})
    return ([f"tuned for forwarding: {' '.join(tuned)} (what and why: --json)"] if tuned else []) + lines


def _escaped(value: Any) -> Any:
    """The same, with brackets that mean themselves (an IPv6 endpoint) and no colour."""
    from rich.markup import escape

    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return escape(value) if isinstance(value, str) else value


def _trial(status: dict[str, Any]) -> list[str]:
    """What runs by its number, and whether it is to stay."""
    if trial := status["trial"]:
        both = ", on both boxes" if trial["both_boxes"] else ""
        lines = [
            f"[yellow]on trial:[/] generation {trial['generation']} of {trial['origin']}{both}; without "
            f"`appliance confirm` from a new session it goes in {trial['seconds_left']:.0f} s"
        ]
        return lines + [f"[yellow]not seen yet:[/] {fact}" for fact in trial["not_seen_yet"]]
    lines = [f"generation {status['generation']}"] if status["generation"] else []
    if last := status["last_rollback"]:
        lines.append(f"[yellow]generation {last['number']} went back[/] at {_clock(last['ended'])}: {last['why']}")
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
        lines.append(f"last bundle{serial}: [{colour}]{last['outcome']}[/] at {last['at']}{why}")
    if (fetch := bundles["fetch"]) and (said := fetch["last"]):
        trouble = "" if said["good"] else "[yellow]not now:[/] "
        lines.append(f"bundles are fetched; {_clock(said['at'])}: {trouble}{said['text']}")
    if bundles["age_recipient"]:
        lines.append(f"secrets for this box are sealed to {bundles['age_recipient']}")
    return lines


def _pair(pair: dict[str, Any] | None) -> list[str]:
    """The pair in words: who this box is and why, what the other one says, and how the last takeover went."""
    if pair is None:
        return []
    colour = "green" if pair["role"] == "master" else "default"
    lines = [f"[{colour}]{pair['role']}[/] since {_clock(pair['since'])}: {pair['why']}"]
    if pair["not_ready"]:
        lines.append(f"[yellow]would not take over:[/] {'; '.join(pair['not_ready'])}")
    partner = pair["partner"]
    if partner is None:
        lines.append("[yellow]the other box was not heard yet[/]")
    elif not partner["alive"]:
        lines.append(
            f"[yellow]{partner['box']} is not heard[/] for {partner['heard_ago']:.0f} s; it was {partner['role']}"
        )
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
    return lines + [f"[yellow]note:[/] {note}" for note in pair["notes"]]


def _step(partner: dict[str, Any]) -> str:
    if partner["in_step"]:
        return "in step"
    if partner["ahead"]:
        return f"[yellow]not in step: {partner['ahead']} is ahead[/]"
    return "[yellow]not in step: the boxes were changed apart; `appliance apply` on one of them settles it[/]"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
