"""`appliance peer remove`: the peer, and the rules that would name nobody afterwards."""

from __future__ import annotations

import argparse
import sys

from appliance.cli.failure import Failure
from appliance.cli.peer_change import carry_out, read_sound
from appliance.core.peering import choose, edit
from appliance.core.splice import Unable


def remove(options: argparse.Namespace) -> int:
    file = read_sound(options)
    try:
        tunnel, peer = choose.peer_of(file.config, options.name, options.tunnel)
        name = options.name.rpartition(".")[2]
        content, rules = edit.remove(file.content, tunnel, name)
    except choose.NotKnown as error:
        raise Failure(str(error)) from None
    except Unable as error:
        raise Failure(f"{file.path}: {error}") from None
    if rules:
        print(f"rules of firewall.allow that name {tunnel}.{name} go with it:")
        for rule in rules:
            print(f"  {rule}")
        if not options.yes:
            _ask()
    carry_out(options, file, content)
    kept = "; its preshared key stays on the box for a roll-back" if peer.preshared_key and not options.no_apply else ""
    print(f"{tunnel}.{name} is removed{kept}")
    return 0


def _ask() -> None:
    if not sys.stdin.isatty():
        raise Failure("nobody is here to agree to that; call it again with --yes")
    if input("remove them? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Failure("nothing was changed")
