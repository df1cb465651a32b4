"""Shows uplinks, tunnels and peers as the system says at this moment.
"up" means that data went both ways in the last three minutes.
Exit code 0: shown, and all is as the configuration says; 2: shown, something differs; 1: error.

example:
  appliance status
  appliance status --json"""

from __future__ import annotations

import argparse
import json
from typing import Any

from appliance.cli.client import ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="everything, for programs")


def run(options: argparse.Namespace) -> int:
    status = ask(options, {"verb": "status"})["status"]
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        _print(status)
    return 2 if status["pending"] or status["warnings"] else 0


def _print(status: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if status["box"] is None:
        console.print("no configuration yet: appliance apply FILE")
    else:
        firewall = "firewall stands" if status["firewall"]["stands"] else "[red]firewall differs[/]"
        forwarding = "forwarding" if status["forwarding"] else "[yellow]not forwarding[/]"
        console.print(
            f"[bold]{status['site']}[/], box [bold]{status['box']}[/] ({status['role']}): {firewall}, {forwarding}"
        )
    for warning in status["warnings"]:
        console.print(f"[yellow]note:[/] {warning}", markup=True)
    for step in status["pending"]:
        console.print(f"[yellow]differs:[/] {step}")
    links = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("network", "device", "cable", "mtu", "addresses", "gateway"):
        links.add_column(title)
    gateways = {uplink["name"]: " ".join(uplink["gateways"]) for uplink in status["uplinks"]}
    for link in status["interfaces"]:
        cable = "[green]in[/]" if link["carrier"] else "[red]out[/]" if link["present"] else "[red]no such device[/]"
        addresses = "\n".join(address for address in link["addresses"] if not address.startswith("fe80:"))
        links.add_row(
            link["name"], link["device"], cable, str(link["mtu"] or ""), addresses, gateways.get(link["name"], "")
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
                _age(peer["handshake_age_seconds"]),
                _size(peer["received_bytes"]),
                _size(peer["sent_bytes"]),
                " ".join(peer["allowed_ips"]),
            )
        console.print(peers)


def _age(seconds: float | None) -> str:
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
