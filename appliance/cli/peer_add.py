"""`appliance peer add`: chooses what nobody chose, makes the keys, and hands out what the other side needs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from appliance.cli.failure import Failure
from appliance.cli.peer_change import carry_out, read_sound
from appliance.cli.peer_hand_out import HandOut, Who, check_values, day, endpoint_for, far_end, secret_name
from appliance.core.model import BOX, AllowRule, Config
from appliance.core.peering import choose, edit, files
from appliance.core.splice import Unable
from appliance.shell.peering import new_pair, new_preshared_key


def add(options: argparse.Namespace) -> int:
    hand_out, notes = bring_in(options)
    hand_out.show()
    for note in notes:
        print(f"note: {note}")
    return 0


def bring_in(options: argparse.Namespace, room: tuple[int, int] | None = None) -> tuple[HandOut, list[str]]:
    """Makes it a peer of the box, and returns what its device is given and what is to be said of it. `room` are the
    columns and lines for a QR code, None: the terminal's. Raises Failure, and nothing is left of it."""
    check_values(options)
    if not options.site and (options.remote or options.target != "wg-quick"):
        raise Failure("--remote and --for belong to a site; name the networks behind it: --site 192.168.30.0/24")
    if options.site and options.full:
        raise Failure("--full is for a person's device; a site keeps its own way to the internet")
    file = read_sound(options)
    config = file.config
    try:
        tunnel = choose.tunnel_of(config, options.tunnel)
        if options.name in config.tunnels[tunnel].peers:
            raise Failure(f"{tunnel} has a peer {options.name} already; take another name, or rotate or remove it")
        addresses = options.address or [str(each) for each in choose.free_addresses(config, tunnel)]
        endpoint = endpoint_for(options, config, tunnel)
    except choose.NotKnown as error:
        raise Failure(str(error)) from None
    zone = f"{tunnel}.{options.name}"
    rules = [edit.NewRule(zone, to) for to in options.allow]
    # What lies behind a branch may be called; not by the internet.
    outside = {BOX, *choose.uplink_names(config)}
    rules += [edit.NewRule(to, zone) for to in options.allow if options.site and to not in outside]
    keys = None if options.public_key else new_pair()
    secret, psk = secret_name(options, options.name, file.content), new_preshared_key()
    peer = edit.NewPeer(
        name=options.name,
        public_key=keys.public if keys else options.public_key,
        secret=secret,
        addresses=addresses,
        networks=options.site or (),
        endpoint=options.remote,
        since=day(time.time()),
        expires=options.expires,
    )
    try:
        missing = [rule for rule in rules if not choose.granted_already(config, rule.from_, rule.to)]
        content = edit.add(file.content, tunnel, peer, missing)
    except Unable as error:
        raise Failure(f"{file.path}: {error}") from None
    new_rules = [AllowRule.model_validate({"from": rule.from_, "to": rule.to}) for rule in rules]
    who = Who(tunnel, options.name, addresses, options.site or ())
    end = far_end(options, config, who, endpoint, new_rules)
    hand_out = HandOut(options, files.keyed(end, keys.private if keys else None, psk), who, secret, config, room)
    carry_out(options, file, content, {secret: psk}, hand_out.private)
    return hand_out, _notes(options, config, zone, new_rules)


def _notes(options: argparse.Namespace, config: Config, zone: str, rules: Sequence[AllowRule]) -> list[str]:
    every = [*config.firewall.allow, *rules]
    mine = [rule for rule in every if rule.from_ in (zone, zone.partition(".")[0])]
    uplinks = choose.uplink_names(config)
    notes = []
    if not mine:
        notes.append(f"no rule lets {zone} reach anything yet; write one into firewall.allow, or use --allow lan")
    elif options.full and not any(rule.to in uplinks for rule in mine):
        wan = uplinks[0] if uplinks else "wan"
        notes.append(f"no rule lets {zone} into the internet; a full tunnel wants --allow {wan}")
    if options.full and not options.dns and not config.dns:
        notes.append("it is given no name server, and may ask for names beside the tunnel; give it one: --dns ADDRESS")
    return notes
