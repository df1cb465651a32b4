"""The changes that `appliance peer` makes to appliance.yaml, each from bytes to bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.core.check import check
from appliance.core.peering.choose import mentions, peer_of
from appliance.core.problems import Path
from appliance.core.splice import Flow, append, delete, insert, replace


@dataclass(frozen=True, slots=True)
class NewPeer:
    """A peer to be written. `secret` names its preshared key; dates are YYYY-MM-DD."""

    name: str
    public_key: str
    secret: str | None
    addresses: Sequence[str]
    networks: Sequence[str] = ()
    endpoint: str | None = None
    since: str | None = None
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class NewRule:
    from_: str
    to: str


def add(content: bytes, tunnel: str, peer: NewPeer, rules: Sequence[NewRule] = ()) -> bytes:
    """The file with the peer, and with the rules at the end. Raises splice.Unable."""
    value: dict[str, Any] = {"public_key": peer.public_key}
    if peer.secret:
        value["preshared_key"] = Flow(secret=peer.secret)
    if peer.endpoint:
        value["endpoint"] = peer.endpoint
    value["address"] = peer.addresses[0] if len(peer.addresses) == 1 else list(peer.addresses)
    if peer.networks:
        value["networks"] = list(peer.networks)
    if peer.since:
        value["since"] = peer.since
    if peer.expires:
        value["expires"] = peer.expires
    content = insert(content, ("tunnels", tunnel, "peers"), peer.name, value)
    for rule in rules:
        content = append(content, ("firewall", "allow"), Flow({"from": rule.from_, "to": rule.to}))
    return content


def rotate(
    content: bytes, tunnel: str, name: str, public_key: str, secret: str, since: str, until: str | None
) -> bytes:
    """The file with other keys for the peer; those before count until then, or (None) no more. Raises splice.Unable."""
    path: Path = ("tunnels", tunnel, "peers", name)
    _, peer = peer_of(check(content)[0], name, tunnel)
    before = Flow(public_key=peer.public_key)
    if peer.preshared_key:
        before["preshared_key"] = Flow(secret=peer.preshared_key.secret)
        content = replace(content, (*path, "preshared_key", "secret"), secret)
    else:
        content = insert(content, path, "preshared_key", Flow(secret=secret))
    content = replace(content, (*path, "public_key"), public_key)
    content = replace(content, (*path, "since"), since) if peer.since else insert(content, path, "since", since)
    if peer.replaces:
        content = delete(content, (*path, "replaces"))
    return insert(content, path, "replaces", Flow(before, until=until)) if until else content


def finish(content: bytes, tunnel: str, name: str) -> bytes:
    """The file without the keys that were replaced. Raises splice.Unable."""
    return delete(content, ("tunnels", tunnel, "peers", name, "replaces"))


def rotate_own(content: bytes, tunnel: str, port: int | None, since: str, until: str | None) -> bytes:
    """The file with the box's next key for the tunnel, at UDP port `port` (None: one that is free). The key before
    counts until then, at the port that it had, or (None) no more. Raises splice.Unable."""
    path: Path = ("tunnels", tunnel)
    now = check(content)[0].tunnels[tunnel]
    key = now.key + 1
    if now.replaces:
        content = delete(content, (*path, "replaces"))
    if port is not None and port != now.listen_port:
        content = replace(content, (*path, "listen_port"), port)
    content = replace(content, (*path, "key"), key) if now.key > 1 else insert(content, path, "key", key)
    content = replace(content, (*path, "since"), since) if now.since else insert(content, path, "since", since)
    if until is None:
        return content
    before = Flow(listen_port=now.listen_port) if now.listen_port else Flow()
    return insert(content, path, "replaces", Flow(before, until=until))


def finish_own(content: bytes, tunnel: str) -> bytes:
    """The file without the box's key that was replaced. Raises splice.Unable."""
    return delete(content, ("tunnels", tunnel, "replaces"))


def remove(content: bytes, tunnel: str, name: str) -> tuple[bytes, list[str]]:
    """The file without the peer and the rules that name it, and those rules in words. Raises splice.Unable."""
    config, document = check(content)
    peer_of(config, name, tunnel)
    rules: list[str] = []
    for index in reversed(mentions(config, f"{tunnel}.{name}")):
        path: Path = ("firewall", "allow", index)
        rules.insert(0, f"line {document.mark(path).line}: {_words(document.value['firewall']['allow'][index])}")
        content = delete(content, path)
    return delete(content, ("tunnels", tunnel, "peers", name)), rules


def _words(rule: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {each if not isinstance(each, list) else ' '.join(map(str, each))}" for key, each in rule.items()
    )
