"""`appliance peer add`: chooses what nobody chose, makes the keys, and hands out what the other side needs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from appliance.cli import peer_qr
from appliance.cli.failure import Failure
from appliance.cli.peer_change import carry_out, read_sound
from appliance.core.model import AllowRule, Config
from appliance.core.peering import choose, edit, files
from appliance.core.splice import Unable
from appliance.core.state import tunnel_device
from appliance.core.values import HostAddress, Name, PeerEndpoint, PublicKey, Subnet
from appliance.shell.paths import Paths
from appliance.shell.peering import Secrets, box_key, new_pair, new_preshared_key


def add(options: argparse.Namespace) -> int:
    _check_options(options)
    file = read_sound(options)
    config = file.config
    try:
        tunnel = choose.tunnel_of(config, options.tunnel)
        if options.name in config.tunnels[tunnel].peers:
            raise Failure(f"{tunnel} has a peer {options.name} already; take another name, or rotate or remove it")
        addresses = options.address or [str(each) for each in choose.free_addresses(config, tunnel)]
        endpoint = options.endpoint or str(choose.endpoint(config, tunnel))
    except choose.NotKnown as error:
        raise Failure(str(error)) from None
    zone = f"{tunnel}.{options.name}"
    rules = [edit.NewRule(zone, to) for to in options.allow]
    rules += [edit.NewRule(to, zone) for to in options.allow if options.site]
    keys = None if options.public_key else new_pair()
    secret, psk = _secret(options, file.content), new_preshared_key()
    peer = edit.NewPeer(
        name=options.name,
        public_key=keys.public if keys else options.public_key,
        secret=secret,
        addresses=addresses,
        networks=options.site or (),
        endpoint=options.remote,
        since=time.strftime("%Y-%m-%d", time.gmtime()),
    )
    try:
        content = edit.add(file.content, tunnel, peer, rules)
    except Unable as error:
        raise Failure(f"{file.path}: {error}") from None
    new_rules = [AllowRule.model_validate({"from": rule.from_, "to": rule.to}) for rule in rules]
    end = far_end(options, config, tunnel, addresses, endpoint, new_rules)
    end = files.replaced(end, keys.private if keys else None, psk)
    hand_out = HandOut(options, end, tunnel, secret, config)
    carry_out(options, file, content, {secret: psk}, hand_out.private)
    hand_out.show()
    for note in _notes(options, config, zone, new_rules):
        print(f"note: {note}")
    return 0


def _check_options(options: argparse.Namespace) -> None:
    """Every value alone, before a file is read."""
    kinds: list[tuple[str, object, object]] = [("NAME", Name, options.name)]
    kinds += [("--address", HostAddress, each) for each in options.address or ()]
    kinds += [("--dns", HostAddress, each) for each in options.dns]
    kinds += [("--site", Subnet, each) for each in options.site or ()]
    kinds += [
        (name, PublicKey, value)
        for name, value in (("--public-key", options.public_key), ("--box-key", options.box_key))
        if value
    ]
    kinds += [
        (name, PeerEndpoint, value)
        for name, value in (("--endpoint", options.endpoint), ("--remote", options.remote))
        if value
    ]
    for name, kind, value in kinds:
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            raise Failure(f"{name}: {error.errors()[0]['msg']}") from None
    if not options.site and (options.remote or options.target != "wg-quick"):
        raise Failure("--remote and --for belong to a site; name the networks behind it: --site 192.168.30.0/24")
    if options.site and options.full:
        raise Failure("--full is for a person's device; a site keeps its own way to the internet")


def _secret(options: argparse.Namespace, content: bytes) -> str:
    store = Secrets(Paths(options.root), Path())
    return store.free_name(f"psk-{options.name}", lambda name: name.encode() in content)


def far_end(
    options: argparse.Namespace,
    config: Config,
    tunnel: str,
    addresses: Sequence[str],
    endpoint: str,
    rules: Sequence[AllowRule] = (),
) -> files.FarEnd:
    """The peer as it sees itself, still without its keys."""
    key = options.box_key or box_key(Paths(options.root), tunnel_device(tunnel))
    if key is None:
        raise Failure(
            f"the public key of {tunnel} is not known here; `appliance status` on the box shows it: --box-key KEY"
        )
    own = {ip_network(each) for each in options.site or ()}
    networks = [each for each in choose.reachable(config, tunnel, options.name, rules) if each not in own]
    dns = options.dns or ([str(each) for each in config.dns] if options.full else [])
    return files.FarEnd(
        name=options.name,
        site=config.site,
        addresses=addresses,
        box_key=key,
        endpoint=endpoint,
        allowed_ips=files.EVERYTHING if options.full else [str(each) for each in networks],
        dns=dns,
        networks=options.site or (),
    )


class HandOut:
    """What the other side is given: files that are written before the change is tried, and what the terminal shows."""

    def __init__(
        self, options: argparse.Namespace, end: files.FarEnd, tunnel: str, secret: str, config: Config
    ) -> None:
        self.options = options
        self.text = _text(options.target, end, tunnel, secret, config)
        self.private: dict[Path, bytes] = {}
        self.places: dict[Path, str] = {}
        self.conf = None if str(options.conf) == "-" else options.conf
        if self.conf:
            self.private[self.conf] = self.text.encode()
        if options.target == "appliance":
            # Such a file holds no secret; they lie beside it.
            beside = self.conf or Path(f"{end.name}.yaml")
            for name, folder, value in (
                (f"wg-{tunnel}.key", "keys", end.private_key),
                (secret, "secrets", end.preshared_key),
            ):
                if value:
                    path = beside.with_name(f"{end.name}.{name}")
                    self.private[path] = f"{value}\n".encode()
                    self.places[path] = f"/data/appliance/{folder}/{name}"
        if options.png:
            self.private[options.png] = peer_qr.png(self.text)
        self.code = ""
        if end.private_key and not options.site and not options.conf and not options.png:
            self.code = peer_qr.terminal(self.text)

    def show(self) -> None:
        for path in self.private:
            place = self.places.get(path)
            where = f"goes to {place} on the other box" if place else "for the other side alone"
            print(f"{path}: {where}; remove it here when it is there")
        if self.code:
            print(self.code)
            print("scan it with the WireGuard app; it is shown this once, and the box does not keep it")
        elif not self.conf and not self.options.png:
            sys.stdout.write(self.text)


def _text(target: str, end: files.FarEnd, tunnel: str, secret: str, config: Config) -> str:
    if target == "cloud-init":
        return files.cloud_init(end)
    if target == "appliance":
        lengths = {each.version: each.network.prefixlen for each in config.tunnels[tunnel].addresses}
        return files.appliance_yaml(end, tunnel, secret, [lengths[6 if ":" in each else 4] for each in end.addresses])
    return files.wg_quick(end)


def _notes(options: argparse.Namespace, config: Config, zone: str, rules: Sequence[AllowRule]) -> list[str]:
    every = [*config.firewall.allow, *rules]
    mine = [rule for rule in every if rule.from_ in (zone, zone.partition(".")[0])]
    uplinks = choose.uplink_names(config)
    if not mine:
        return [f"no rule lets {zone} reach anything yet; write one into firewall.allow, or add it with --allow lan"]
    if options.full and not any(rule.to in uplinks for rule in mine):
        return [
            f"no rule lets {zone} into the internet; a full tunnel wants --allow {uplinks[0] if uplinks else 'wan'}"
        ]
    return []
