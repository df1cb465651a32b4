"""`appliance peer rotate`: new keys for a peer. The old ones count until the new ones are first used, so that nobody is
cut off while the new file travels."""

from __future__ import annotations

import argparse
import time

from appliance.cli.client import ask
from appliance.cli.failure import Failure
from appliance.cli.peer_change import File, carry_out, read_sound
from appliance.cli.peer_hand_out import HandOut, Who, check_values, day, endpoint_for, far_end, secret_name
from appliance.core.model import Peer
from appliance.core.peering import choose, edit, files
from appliance.core.splice import Unable
from appliance.shell.peering import new_pair, new_preshared_key

OVERLAP_SECONDS = 30 * 86400.0


def rotate(options: argparse.Namespace) -> int:
    if not options.name or options.port:
        raise Failure("write whose keys: NAME for a peer's, --own for the box's (with --port, if you like)")
    check_values(options)
    file = read_sound(options)
    try:
        tunnel, peer = choose.peer_of(file.config, options.name, options.tunnel)
        name = options.name.rpartition(".")[2]
        if options.finish:
            return _finish(options, file, tunnel, name, peer)
        endpoint = endpoint_for(options, file.config, tunnel)
        _once(f"{tunnel}.{name}", peer)
        until = None if options.now else options.until or day(time.time() + OVERLAP_SECONDS)
        keys = None if options.public_key else new_pair()
        secret, psk = secret_name(options, name, file.content), new_preshared_key()
        public = keys.public if keys else options.public_key
        content = edit.rotate(file.content, tunnel, name, public, secret, day(time.time()), until)
    except choose.NotKnown as error:
        raise Failure(str(error)) from None
    except Unable as error:
        raise Failure(f"{file.path}: {error}") from None
    who = Who(tunnel, name, [str(each) for each in peer.address], [str(each) for each in peer.networks])
    end = files.keyed(far_end(options, file.config, who, endpoint), keys.private if keys else None, psk)
    hand_out = HandOut(options, end, who, secret, file.config)
    carry_out(options, file, content, {secret: psk}, hand_out.private)
    hand_out.show()
    if until:
        print(f"the old keys of {tunnel}.{name} count until the new ones are first used, until {until} at the latest;")
        print(f"then take them out of the file: appliance peer rotate {name} --finish")
    return 0


def _once(zone: str, peer: Peer) -> None:
    """A third pair of keys would make nobody wiser about which one is at the device."""
    if peer.replaces and day(time.time()) <= str(peer.replaces.until):
        raise Failure(
            f"the keys of {zone} are being replaced already; see in `appliance peer list` whether the new ones are "
            f"used, then: appliance peer rotate {zone} --finish"
        )


def _finish(options: argparse.Namespace, file: File, tunnel: str, name: str, peer: Peer) -> int:
    zone = f"{tunnel}.{name}"
    if peer.replaces is None:
        raise Failure(f"no keys of {zone} are being replaced")
    if not options.no_apply and not options.now:
        status = ask(options, {"verb": "status"})["status"]
        found = [each for every in status["tunnels"] for each in every["peers"] if each["name"] == f"{zone}/old"]
        if any(each["state"] not in ("expired", "absent") for each in found):
            raise Failure(f"{zone} has not used its new keys yet and would be cut off; to do so: --finish --now")
    carry_out(options, file, edit.finish(file.content, tunnel, name))
    print(f"the old keys of {zone} are gone")
    return 0
