"""What stands in a support archive, as data; what is no command's output is added by shell/support.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "network.txt": (
        ("ip", "-statistics", "-details", "address"),
        ("ip", "route", "show", "table", "all"),
        ("ip", "-6", "route", "show", "table", "all"),
        ("ip", "rule"),
        ("ip", "-6", "rule"),
        ("ip", "neighbour"),
        ("resolvectl", "--no-pager", "status"),
    ),
    "wireguard.txt": (("wg", "show"),),
    "firewall.txt": (("nft", "list", "ruleset"),),
    "journal.txt": (
        (
            "journalctl",
            "--no-pager",
            "--utc",
            "--output=short-iso-precise",
            "--since=-1day",
            "--lines=100000",
            "--unit=appliance*",
            "--unit=systemd-networkd.service",
            "--unit=systemd-resolved.service",
            "--unit=chrony.service",
        ),
    ),
    "units.txt": (
        ("systemctl", "--no-pager", "--failed"),
        ("systemctl", "--no-pager", "--all", "list-units", "appliance*"),
    ),
    "machine.txt": (
        ("uname", "-a"),
        ("uptime",),
        ("free", "-m"),
        ("df", "-h"),
        ("chronyc", "-n", "tracking"),
    ),
    "versions.txt": (("cat", "/etc/os-release"), ("dpkg-query", "--show")),
}
"""By member, the commands whose output it holds."""

ABOUT = """\
What a box said about itself, for whoever is to help.

status.json, plan.json, history.json   appliance status, plan (to appliance.yaml) and history, each with --json
appliance.yaml                         the file
network.txt, wireguard.txt, firewall.txt, units.txt, machine.txt, versions.txt   the commands that stand in them
appliance-version.txt                  of our own software
journal.txt                            the last day of this box's own units

Addresses, host names, the names of peers and their public keys are in here. Private keys, preshared keys, passwords
and their hashes are not: where one stood, it says [redacted: ...].
"""


def archive_name(site: str, box: str, now: float) -> str:
    """The archive's name, and that of the folder in it, without an ending. `now` is in seconds since 1970."""
    stamp = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    words = [re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-") for word in ("appliance-support", site, box, stamp)]
    return "-".join(word for word in words if word)


def transcript(said: Iterable[tuple[tuple[str, ...], str]]) -> str:
    """Commands and what each said, as one reads it on a screen."""
    return "\n".join(f"$ {' '.join(command)}\n{text.rstrip()}\n" for command, text in said)
