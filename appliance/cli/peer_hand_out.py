"""What the other side of a peer is given: where it finds the box, what it may reach, its keys; and by which way."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from appliance.cli import peer_qr
from appliance.cli.failure import Failure
from appliance.core.model import AllowRule, Config, Zone
from appliance.core.peering import choose, files
from appliance.core.peers import endpoint_parts
from appliance.core.state import tunnel_key
from appliance.core.values import Day, HostAddress, Name, PeerEndpoint, PublicKey, Subnet
from appliance.shell.paths import Paths
from appliance.shell.peering import Secrets, box_key

_KINDS: dict[str, Any] = {
    "name": Name, "address": HostAddress, "dns": HostAddress, "site": Subnet, "allow": Zone, "public_key": PublicKey,
    "box_key": PublicKey, "endpoint": PeerEndpoint, "remote": PeerEndpoint, "expires": Day, "until": Day,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Who:
    """A peer as the file has it."""

    tunnel: str
    name: str
    addresses: Sequence[str]
    networks: Sequence[str]


def check_values(options: argparse.Namespace) -> None:
    """Every value alone, before a file is read; a peer's name may say its tunnel, as TUNNEL.NAME."""
    for name, kind in _KINDS.items():
        value = getattr(options, name, None) or ()
        for each in value if isinstance(value, list | tuple) else [value]:
            text = each.rpartition(".")[2] if name == "name" and options.what != "add" else each
            try:
                TypeAdapter(kind).validate_python(text)
            except ValidationError as error:
                what = "NAME" if name == "name" else f"--{name.replace('_', '-')}"
                raise Failure(f"{what}: {error.errors()[0]['msg']}") from None
    if options.png and options.target != "wg-quick":
        raise Failure("--png is for a file that an app reads; leave --for away, or write --conf FILE")
    if getattr(options, "public_key", None) and options.target == "cloud-init":
        raise Failure("--for cloud-init makes a machine that has no key yet; leave --public-key away")


def day(seconds: float) -> str:
    """Seconds since 1970 as YEAR-MONTH-DAY, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def secret_name(options: argparse.Namespace, peer: str, content: bytes) -> str:
    """A name for the preshared key that never had another value, on this box or in the file."""
    store = Secrets(Paths(options.root), Path())
    return store.free_name(f"psk-{peer}", lambda name: name.encode() in content)


def endpoint_for(options: argparse.Namespace, config: Config, tunnel: str) -> str:
    """Where the box is reached. Raises choose.NotKnown."""
    return options.endpoint or str(choose.endpoint(config, tunnel))


def far_end(
    options: argparse.Namespace, config: Config, who: Who, endpoint: str, rules: Sequence[AllowRule] = ()
) -> files.FarEnd:
    """The peer as it sees itself, still without its keys. `rules` come with it."""
    key = options.box_key or box_key(Paths(options.root), tunnel_key(who.tunnel, config.tunnels[who.tunnel].key))
    if key is None:
        raise Failure(
            f"the public key of {who.tunnel} is not known here; `appliance status` on the box shows it: --box-key KEY"
        )
    own = {ip_network(each) for each in who.networks}
    versions = {ip_address(each).version for each in who.addresses}
    networks = [
        each
        for each in choose.reachable(config, who.tunnel, who.name, rules)
        if each not in own and each.version in versions
    ]
    known = config.tunnels[who.tunnel].peers.get(who.name)
    called_at = getattr(options, "remote", None) or (known.endpoint if known else None)
    return files.FarEnd(
        name=who.name,
        site=config.site,
        addresses=who.addresses,
        box_key=key,
        endpoint=endpoint,
        allowed_ips=files.EVERYTHING if options.full else [str(each) for each in networks],
        dns=options.dns or ([str(each) for each in config.dns] if options.full else []),
        networks=who.networks,
        listen_port=int(endpoint_parts(str(called_at))[1]) if called_at else None,
    )


class HandOut:
    """`private` are the files that are written before the change is tried; `show` is for when it runs."""

    def __init__(
        self,
        options: argparse.Namespace,
        end: files.FarEnd,
        who: Who,
        secret: str,
        config: Config,
        room: tuple[int, int] | None = None,
    ) -> None:
        self.text = _text(options.target, end, who.tunnel, secret, config)
        self.private: dict[Path, bytes] = {}
        self.places: dict[Path, str] = {}
        conf = None if str(options.conf) == "-" else options.conf
        if conf:
            self.private[conf] = self.text.encode()
        if options.target == "appliance":
            # Such a file holds no secret; they lie beside it.
            beside = conf or Path(f"{end.name}.yaml")
            for name, folder, value in (
                (f"wg-{who.tunnel}.key", "keys", end.private_key),
                (secret, "secrets", end.preshared_key),
            ):
                if value:
                    path = beside.with_name(f"{end.name}.{name}")
                    self.private[path] = f"{value}\n".encode()
                    self.places[path] = f"/data/appliance/{folder}/{name}"
        if options.png:
            self.private[options.png] = peer_qr.png(self.text)
        self.shown = not conf and not options.png
        # A key that stays on the device leaves nothing for a phone to read.
        drawn = self.shown and not options.conf and end.private_key and not who.networks
        self.code = peer_qr.lines(self.text, room) if drawn else []

    def show(self) -> None:
        for path in self.private:
            place = self.places.get(path)
            where = f"goes to {place} on the other box" if place else "for the other side alone"
            print(f"{path}: {where}; remove it here when it is there")
        if self.code:
            print(peer_qr.coloured(self.code))
            print("scan it with the WireGuard app; it is shown this once, and the box does not keep it")
        elif self.shown:
            sys.stdout.write(self.text)


def _text(target: str, end: files.FarEnd, tunnel: str, secret: str, config: Config) -> str:
    if target == "cloud-init":
        return files.cloud_init(end)
    if target == "appliance":
        lengths = {each.version: each.network.prefixlen for each in config.tunnels[tunnel].addresses}
        return files.appliance_yaml(end, tunnel, secret, [lengths[6 if ":" in each else 4] for each in end.addresses])
    return files.wg_quick(end)
