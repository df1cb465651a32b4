"""Colleagues and sites: who may come through a tunnel, and what their devices are given.
Each call edits appliance.yaml (comments and order stay), shows the plan and applies it as a trial, on both boxes of a
pair; confirm it as any other. A private key is shown once and kept nowhere; with --public-key it stays on the device.
On a laptop that keeps the file: --file appliance.yaml --no-apply. `appliance peer WHAT --help` explains each.
Exit code 0: done; 1: not, and why.

example:
  sudo appliance peer add alice --allow lan                        a QR code for her phone
  sudo appliance peer add bob --allow lan --conf bob.conf          a file for wg-quick and the WireGuard apps
  sudo appliance peer add basel --site 192.168.30.0/24 --allow lan --conf basel.conf
  appliance peer list
  sudo appliance peer rotate alice
  sudo appliance peer rotate --own                                 the box's own key; the old one goes on beside it
  sudo appliance peer remove alice"""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.cli.apply import add_trial


def add_arguments(parser: argparse.ArgumentParser) -> None:
    whats = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    add = whats.add_parser("add", help="a new peer, and what its device is given")
    add.add_argument("name", metavar="NAME", help="of the person's device or the site")
    add.add_argument("--address", action="append", metavar="ADDRESS", help="inside the tunnel; default: a free one")
    add.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="ZONE",
        help="a rule that lets it reach this: lan, wan, TUNNEL.PEER",
    )
    add.add_argument("--site", nargs="+", metavar="NETWORK", help="it is a branch: the networks behind it")
    add.add_argument("--remote", metavar="HOST:PORT", help="where the site listens; default: it calls")
    add.add_argument("--expires", metavar="DAY", help="the last day on which it gets in, such as 2027-03-31")
    _keys(add)
    _client(add)
    _change(add)

    listed = whats.add_parser("list", help="who there is, and who was seen when and from where")
    listed.add_argument("--json", action="store_true", help="for programs")

    show = whats.add_parser("show", help="one peer, and its file without the private key")
    show.add_argument("name", metavar="NAME", help="as in the file; TUNNEL.NAME where two tunnels have it")
    _client(show)
    _file(show)

    rotate = whats.add_parser("rotate", help="new keys; the old ones count until the new ones are first used")
    rotate.add_argument("name", nargs="?", metavar="NAME", help="as in the file; TUNNEL.NAME where two tunnels have it")
    rotate.add_argument(
        "--own", action="store_true", help="not a peer's: the box's own key of a tunnel, in a pair that of both boxes"
    )
    rotate.add_argument("--port", metavar="PORT", help="with --own: the new key's UDP port; default: a free one")
    rotate.add_argument("--until", metavar="DAY", help="the last day of the old keys; default: in 30 days")
    rotate.add_argument("--now", action="store_true", help="the old keys end at once: a device was lost")
    rotate.add_argument(
        "--finish", action="store_true", help="the new keys are used: take the old ones out of the file"
    )
    _keys(rotate)
    _client(rotate)
    _change(rotate)

    remove = whats.add_parser("remove", help="cuts a peer off, and removes the rules that name it")
    remove.add_argument("name", metavar="NAME", help="as in the file; TUNNEL.NAME where two tunnels have it")
    remove.add_argument("--yes", action="store_true", help="its rules may go too, without asking")
    _change(remove)


def _keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--public-key", metavar="KEY", help="the device made its key itself: the private one stays there"
    )


def _client(parser: argparse.ArgumentParser) -> None:
    """What the device's file says, and where it goes."""
    parser.add_argument(
        "--full", action="store_true", help="all its traffic goes through the tunnel; default: what it may reach"
    )
    parser.add_argument("--dns", action="append", default=[], metavar="ADDRESS", help="name server for the device")
    parser.add_argument("--endpoint", metavar="HOST:PORT", help="where the box is reached; default: as the file says")
    parser.add_argument(
        "--box-key", metavar="KEY", help="on a laptop: the tunnel's public key, as `appliance status` shows it"
    )
    parser.add_argument("--conf", type=Path, metavar="FILE", help="writes the device's file (mode 0600); - prints it")
    parser.add_argument(
        "--for", dest="target", choices=["wg-quick", "appliance", "cloud-init"], default="wg-quick",
        help="what a site is: its file is written for that (default: wg-quick)",
    )  # fmt: skip
    parser.add_argument("--png", type=Path, metavar="FILE", help="writes the QR code as a picture (mode 0600)")


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tunnel", metavar="NAME", help="default: the only one")
    parser.add_argument("--file", type=Path, metavar="FILE", help="default: /data/appliance/appliance.yaml")


def _change(parser: argparse.ArgumentParser) -> None:
    _file(parser)
    parser.add_argument("--no-apply", action="store_true", help="only edits the file")
    add_trial(parser)


def run(options: argparse.Namespace) -> int:
    match options.what:
        case "add":
            from appliance.cli.peer_add import add

            return add(options)
        case "remove":
            from appliance.cli.peer_remove import remove

            return remove(options)
        case "rotate":
            if options.own:
                from appliance.cli.peer_rotate_own import rotate_own

                return rotate_own(options)
            from appliance.cli.peer_rotate import rotate

            return rotate(options)
        case "show":
            from appliance.cli.peer_show import show

            return show(options)
        case _:
            from appliance.cli.peer_list import show_list

            return show_list(options)
