"""What the wizard does to the machine before anything is applied: looks at cables, tries an address, reads a stick."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.adapters import resolver
from appliance.adapters.errors import Refused as Refused
from appliance.adapters.files import write_whole
from appliance.adapters.keys import Keys
from appliance.core.peers import is_name
from appliance.core.pppoe_words import trial_options, trouble
from appliance.core.setup.questions import FIRST
from appliance.core.setup.render import NONE, PROVIDER_SECRET
from appliance.core.setup.seen import Answers, Card
from appliance.core.state import TUNNEL_DEVICES
from appliance.shell.paths import Paths

TRIAL_FILE = Path("/run/systemd/network/40-appliance-setup.network")
DHCP_SECONDS = 12.0
PPPOE_SECONDS = 40.0
DISCOVERY_SECONDS = 2
LOOKUP_SECONDS = 5.0
TRIAL_SESSION = "ppp-setup"
NET = Path("/sys/class/net")
CONSOLE_USER = "admin"
_Content = tuple[bytes, int] | None
"""Of a file, with its mode; None where there is none."""
OFFERED = "offered by DHCP"
"""Beside the answers, under a key that no question has."""


def _said(*command: str, stdin: str = "") -> str | None:
    """What a command printed; None when it failed or hung."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=15)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if not done.returncode else None


# -- cards ------------------------------------------------------------------------------------------------------------


def cards() -> tuple[Card, ...]:
    """The Ethernet cards (ARPHRD_ETHER) that are no tunnel of ours, by name. Each is up, so that its cable is seen."""
    found = []
    for path in sorted(NET.iterdir()):
        with contextlib.suppress(OSError):
            if (path / "type").read_text().strip() != "1" or path.name.startswith(TUNNEL_DEVICES):
                continue
            if not int((path / "flags").read_text(), 16) & 1:
                _said("ip", "link", "set", path.name, "up")
            carrier = (path / "carrier").read_text().strip() == "1"
            found.append(Card(path.name, carrier, (path / "address").read_text().strip()))
    return tuple(found)


def try_dhcp(device: str) -> str:
    """Asks for an address on the card, for real; ADDRESS/LENGTH, or "" when nobody gave one. Nothing of it stays."""
    TRIAL_FILE.parent.mkdir(parents=True, exist_ok=True)
    # No route and no name server: the box is not to be used before it has a firewall of its own.
    text = f"[Match]\nName={device}\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n"
    write_whole(TRIAL_FILE, f"{text}[DHCPv4]\nUseRoutes=no\nUseDNS=no\nUseHostname=no\n".encode(), 0o644)
    try:
        _said("networkctl", "reload")
        _said("networkctl", "reconfigure", device)
        end = time.monotonic() + DHCP_SECONDS
        while time.monotonic() < end:
            if found := _address(device):
                return found
            time.sleep(0.2)
        return ""
    finally:
        TRIAL_FILE.unlink(missing_ok=True)
        _said("networkctl", "reload")
        _said("ip", "-4", "address", "flush", "dev", device)


def _address(device: str, kind: str = "dynamic") -> str:
    answer = json.loads(_said("ip", "-4", "-json", "address", "show", "dev", device, kind) or "[]")
    found = [one for link in answer for one in link.get("addr_info", []) if "local" in one]
    return f"{found[0]['local']}/{found[0]['prefixlen']}" if found else ""


def hears_pppoe(device: str) -> bool:
    """Whether an access concentrator answers on the card (RFC 2516, PADI and PADO). Nothing of it stays."""
    return _said("pppoe-discovery", "-Q", "-I", device, "-t", str(DISCOVERY_SECONDS), "-a", "1") is not None


def try_pppoe(device: str, user: str, password: str) -> tuple[str, str]:
    """Dials on the card, for real: the address that was given, or "" and why none was. Nothing of it stays.

    Raises Refused when the options cannot be written. No route leads there and no name server is asked: the box is not
    to be used before it has a firewall of its own.
    """
    with tempfile.TemporaryDirectory(prefix="appliance-pppoe-", dir="/run") as folder:
        options = Path(folder) / "options"
        write_whole(options, trial_options(device, user, password, TRIAL_SESSION).encode(), 0o600)
        try:
            done = subprocess.run(
                ["pppd", "file", str(options), "updetach"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PPPOE_SECONDS,
            )  # fmt: skip
            given = "" if done.returncode else _address(TRIAL_SESSION, "permanent").removesuffix("/32")
            return given, "" if given else trouble(done.returncode) or "the provider gives no address"
        except (OSError, subprocess.TimeoutExpired):
            return "", "the provider agrees to no session"
        finally:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(Path(f"/run/{TRIAL_SESSION}.pid").read_text()), signal.SIGTERM)


def try_gateway(device: str, address: str, gateway: str) -> bool:
    """Whether the gateway answers an ARP request from this address. Nothing of it stays."""
    _said("ip", "address", "add", address, "dev", device)
    try:
        return _said("arping", "-q", "-f", "-c", "4", "-w", "4", "-I", device, gateway) is not None
    finally:
        _said("ip", "address", "del", address, "dev", device)


def addresses_of(place: str) -> tuple[str, ...]:
    """The addresses of a name, or the address itself; none where the name servers know none."""
    if place == NONE:
        return ()
    if not is_name(place):
        return (place,)
    return asyncio.run(resolver.look_up(place, fresh=True, seconds=LOOKUP_SECONDS)).addresses


# -- answers that outlive a power cut ---------------------------------------------------------------------------------


def kept_answers(paths: Paths) -> tuple[Answers, str]:
    """What was answered before the power went, and what the uplink was offered then; nothing where nothing was, or
    where it cannot be read."""
    try:
        found = json.loads(paths.setup.read_text())
    except (OSError, ValueError):
        return {}, ""
    whole = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return (found, found.pop(OFFERED, "")) if whole else ({}, "")


def keep_answers(paths: Paths, answers: Answers, offered: str) -> None:
    """Raises Refused when the disk does not take them. What is written is JSON, and so YAML as well."""
    kept = {**answers, OFFERED: offered} if offered else answers
    write_whole(paths.setup, (json.dumps(kept, indent=1) + "\n").encode(), 0o600)


def forget_answers(paths: Paths) -> None:
    paths.setup.unlink(missing_ok=True)


def put_file(paths: Paths, text: str) -> None:
    """Lays the result where the administrator finds it. Raises Refused."""
    write_whole(paths.configuration, text.encode(), 0o600)


def keep_password(paths: Paths, answers: Answers) -> None:
    """The provider's password as the secret that the file names, where one was asked for. Raises Refused."""
    if answers.get("how") == "pppoe":
        Keys(paths.state).take_secrets({PROVIDER_SECRET: answers["ppp_password"]})


def name_box(paths: Paths, answers: Answers, named: str) -> None:
    """Which of the file's two boxes this is; of one nothing need be said. Raises Refused.

    A box that serves an office already (`named`) keeps its name: after a power cut it serves what it did before.
    """
    if answers["pair"] == FIRST:
        write_whole(paths.box, answers["box"].encode() + b"\n", 0o644)
    elif not named:
        # An earlier answer may have been another one.
        paths.box.unlink(missing_ok=True)


class Ledger:
    """What was written for a configuration that may not come to run, and what stood there before."""

    def __init__(self) -> None:
        self.files: dict[Path, tuple[_Content, _Content]] = {}

    @contextmanager
    def writing(self, *paths: Path) -> Iterator[None]:
        """Around whatever writes to these files."""
        before = {path: _content(path) for path in paths}
        try:
            yield
        finally:
            for path, found in before.items():
                first, last = self.files.get(path, (found, found))
                # Somebody else's change meanwhile is what stood there.
                self.files[path] = (first if last == found else found), _content(path)

    def undo(self) -> None:
        """As before, but for what somebody else has changed since. Raises Refused, OSError."""
        for path, (before, after) in self.files.items():
            if before == after or _content(path) != after:
                continue
            if before is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, *before)
        self.files = {}


def provider_file(paths: Paths) -> Path:
    """Where keep_password writes."""
    return Keys(paths.state).secrets / PROVIDER_SECRET


def _content(path: Path) -> _Content:
    try:
        return path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


# -- the console's login ----------------------------------------------------------------------------------------------


def set_console_password(paths: Paths, password: str) -> None:
    """Sets admin's password for the console, and keeps its hash for the next boot (appliance-console.service).

    Raises Refused. The password itself is passed by a pipe and kept nowhere.
    """
    if _said("chpasswd", stdin=f"{CONSOLE_USER}:{password}\n") is None:
        raise Refused("the password was not taken; choose another one")
    entry = (_said("getent", "shadow", CONSOLE_USER) or "").split(":")
    if len(entry) < 2 or not entry[1].startswith("$"):
        raise Refused("the password cannot be read back from /etc/shadow")
    write_whole(paths.console, f"{CONSOLE_USER}:{entry[1]}\n".encode(), 0o600)
