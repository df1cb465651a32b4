"""`appliance peer rotate --own`: another key for the box itself, in one of its tunnels. The key before goes on beside
it, at its own port, until every peer has its new file."""

from __future__ import annotations

import argparse
import time

from appliance.cli.client import ask
from appliance.cli.failure import Failure
from appliance.cli.peer_change import File, carry_out, read_sound
from appliance.cli.peer_hand_out import check_values, day
from appliance.cli.peer_rotate import OVERLAP_SECONDS
from appliance.core.model import Tunnel
from appliance.core.peering import choose, edit
from appliance.core.splice import Unable
from appliance.core.state import OLD, tunnel_key
from appliance.shell.paths import Paths
from appliance.shell.peering import box_key

_OF_PEERS = ("name", "public_key", "full", "dns", "endpoint", "box_key", "conf", "png")
"""Options that say something of one peer's file."""


def rotate_own(options: argparse.Namespace) -> int:
    _sound(options)
    file = read_sound(options)
    try:
        name = choose.tunnel_of(file.config, options.tunnel)
        tunnel = file.config.tunnels[name]
        if options.finish:
            return _finish(options, file, name, tunnel)
        _once(name, tunnel)
        until = None if options.now else options.until or day(time.time() + OVERLAP_SECONDS)
        port = tunnel.listen_port if options.now else choose.next_port(file.config, name)
        port = int(options.port) if options.port else port
        content = edit.rotate_own(file.content, name, port, day(time.time()), until)
    except choose.NotKnown as error:
        raise Failure(str(error)) from None
    except Unable as error:
        raise Failure(f"{file.path}: {error}") from None
    carry_out(options, file, content)
    _tell(options, name, tunnel.key + 1, port, until, len(tunnel.peers))
    return 0


def _sound(options: argparse.Namespace) -> None:
    given = [each for each in _OF_PEERS if getattr(options, each)]
    if given or options.target != "wg-quick":
        raise Failure("--own is about the box's key, not about a peer's; hand out files by: appliance peer show NAME")
    check_values(options)
    if options.port and not (options.port.isascii() and options.port.isdecimal() and 0 < int(options.port) < 65536):
        raise Failure("--port: write a UDP port, 1 to 65535")


def _once(name: str, tunnel: Tunnel) -> None:
    """An interface has one key, and there are two interfaces."""
    if tunnel.replaces and day(time.time()) <= str(tunnel.replaces.until):
        raise Failure(
            f"the box's key of {name} is being replaced already; see in `appliance status` who uses the new one, then: "
            f"appliance peer rotate --own --tunnel {name} --finish"
        )


def _tell(options: argparse.Namespace, name: str, number: int, port: int | None, until: str | None, peers: int) -> None:
    key = box_key(Paths(options.root), tunnel_key(name, number)) or "the one that `appliance status` shows once it runs"
    print(f"the box's key of {name} is from now on {key}" + (f", at UDP port {port}" if port else ""))
    if not until:
        print(f"all {peers} peers need it: appliance peer show NAME, or peer rotate NAME for a new QR code")
        return
    print(
        f"the old one goes on beside it until {until} at the latest. Each of the {peers} peers moves when it gets its"
    )
    print("new file: appliance peer show NAME (its own key stays), or appliance peer rotate NAME (a new QR code)")
    if port:
        print(
            f"where a router of the provider stands in front, have it forward UDP port {port}, too, beside the old one"
        )
    print(
        f"who has not moved says `appliance status`; at the end: appliance peer rotate --own --tunnel {name} --finish"
    )


def _finish(options: argparse.Namespace, file: File, name: str, tunnel: Tunnel) -> int:
    if tunnel.replaces is None:
        raise Failure(f"the box's key of {name} is not being replaced")
    if not options.no_apply and not options.now:
        status = ask(options, {"verb": "status"})["status"]
        left = [
            peer["name"]
            for every in status["tunnels"]
            if every["name"] == f"{name}{OLD}"
            for peer in every["peers"]
            if peer["state"] != "expired"
        ]
        if left:
            more = f" and {len(left) - 4} more" if len(left) > 4 else ""
            raise Failure(
                f"{', '.join(left[:4])}{more} {'have' if len(left) > 1 else 'has'} not been seen with the new key and "
                "would be cut off; to do so: --finish --now"
            )
    carry_out(options, file, edit.finish_own(file.content, name))
    print(f"the box's old key of {name} is gone")
    return 0
