"""`appliance peer show`: one peer as the file has it, and its file without the private key, which nobody here has."""

from __future__ import annotations

import argparse

from appliance.cli.client import read_file
from appliance.cli.failure import Failure
from appliance.cli.peer_change import sound
from appliance.cli.peer_hand_out import HandOut, Who, check_values, endpoint_for, far_end
from appliance.core.peering import choose


def show(options: argparse.Namespace) -> int:
    check_values(options)
    name, content = read_file(options)
    config = sound(name, content)
    try:
        tunnel, peer = choose.peer_of(config, options.name, options.tunnel)
        endpoint = endpoint_for(options, config, tunnel)
    except choose.NotKnown as error:
        raise Failure(str(error)) from None
    short = options.name.rpartition(".")[2]
    zone = f"{tunnel}.{short}"
    secret = peer.preshared_key.secret if peer.preshared_key else ""
    print(f"# {zone}: public key {peer.public_key}")
    if secret:
        print(f"# its preshared key is the box's secret {secret}")
    if peer.since or peer.expires:
        print(f"# keys made {peer.since or 'on a day that is not written'}, expires {peer.expires or 'never'}")
    if peer.replaces:
        print(f"# its keys are being replaced; the old ones count until {peer.replaces.until} at the latest")
    for index in choose.mentions(config, zone):
        rule = config.firewall.allow[index]
        print(f"# firewall.allow[{index}]: from {rule.from_} to {rule.to}")
    who = Who(tunnel, short, [str(each) for each in peer.address], [str(each) for each in peer.networks])
    HandOut(options, far_end(options, config, who, endpoint), who, secret, config).show()
    return 0
