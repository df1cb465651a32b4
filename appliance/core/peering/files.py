"""What the other side is given: a file for wg-quick and every WireGuard app, a cloud VM, or another appliance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from appliance.core.splice import inline

KEEPALIVE = 25
"""Seconds; holds a NAT's mapping open (wg(8), PersistentKeepalive)."""
EVERYTHING = ("0.0.0.0/0", "::/0")
"""Both versions also where the tunnel has one: otherwise the other one leaks past it."""
NOT_HERE = "the private key, which only this device has"


@dataclass(frozen=True, slots=True)
class FarEnd:
    """One peer as it sees itself. Keys are text; `private_key` None: it is at the peer only."""

    name: str
    site: str
    addresses: Sequence[str]
    box_key: str
    endpoint: str
    allowed_ips: Sequence[str]
    private_key: str | None = None
    preshared_key: str | None = None
    dns: Sequence[str] = ()
    networks: Sequence[str] = ()
    """What lies behind it, where it is a site."""
    listen_port: int | None = None
    """Where the box calls it; None where nobody does."""


def keyed(end: FarEnd, private_key: str | None, preshared_key: str | None) -> FarEnd:
    """The same with its keys."""
    return replace(end, private_key=private_key, preshared_key=preshared_key)


def wg_quick(end: FarEnd) -> str:
    """A file as wg-quick(8) and the WireGuard apps read it."""
    lines = ["[Interface]"]
    lines.append(f"PrivateKey = {end.private_key}" if end.private_key else f"# PrivateKey = {NOT_HERE}")
    lines.append(f"Address = {', '.join(_host(each) for each in end.addresses)}")
    if end.listen_port:
        lines.append(f"ListenPort = {end.listen_port}")
    if end.dns:
        lines.append(f"DNS = {', '.join(end.dns)}")
    lines += ["", "[Peer]", f"PublicKey = {end.box_key}"]
    if end.preshared_key:
        lines.append(f"PresharedKey = {end.preshared_key}")
    lines += [
        f"AllowedIPs = {', '.join(end.allowed_ips)}",
        f"Endpoint = {end.endpoint}",
        f"PersistentKeepalive = {KEEPALIVE}",
    ]
    return "\n".join(lines) + "\n"


def cloud_init(end: FarEnd) -> str:
    """User-data that makes a new virtual machine the gateway of its networks (cloud-init's write_files, runcmd)."""
    conf = "".join(f"      {line}".rstrip() + "\n" for line in wg_quick(end).splitlines())
    return f"""#cloud-config
# {end.name} of {end.site}. It holds a private key: keep it as a password is kept.
packages: [wireguard-tools]
write_files:
  - path: /etc/wireguard/wg0.conf
    permissions: "0600"
    content: |
{conf}  - path: /etc/sysctl.d/50-wireguard.conf
    content: |
      net.ipv4.ip_forward = 1
      net.ipv6.conf.all.forwarding = 1
runcmd:
  - [sysctl, --system]
  - [systemctl, enable, --now, wg-quick@wg0]
"""


def appliance_yaml(end: FarEnd, tunnel: str, secret: str | None, prefixes: Sequence[int]) -> str:
    """The smallest appliance.yaml of a branch: no secret is in it. `prefixes`: the tunnel's prefix lengths."""
    addresses = [f"{each}/{length}" for each, length in zip(end.addresses, prefixes, strict=True)]
    lan = [_first(each) for each in end.networks]
    # The office's own address and its networks; the tunnel's subnet is there by the addresses above.
    peer = [f"        public_key: {end.box_key}"]
    if secret:
        peer.append(f"        preshared_key: {{secret: {secret}}}")
    peer += [
        f"        endpoint: {inline(end.endpoint)}",
        f"        networks: {inline(list(end.allowed_ips))}",
        f"        keepalive: {KEEPALIVE}",
    ]
    return "\n".join(
        [
            "version: 1",
            f"site: {end.name}",
            "boxes:",
            f"  {end.name}:",
            "    interfaces:                          # the devices as this box names them",
            "      wan: {device: enp1s0, address: dhcp}",
            f"      lan: {{device: enp2s0, address: {inline(lan)}}}",
            "tunnels:",
            f"  {tunnel}:",
            *([f"    listen_port: {end.listen_port}"] if end.listen_port else []),
            f"    addresses: {inline(addresses)}",
            "    peers:",
            f"      {end.site}:",
            *peer,
            "firewall:",
            "  allow:",
            "    - {from: lan, to: wan}",
            f"    - {{from: lan, to: {tunnel}}}",
            f"    - {{from: {tunnel}, to: lan}}",
            "  masquerade: [wan]",
            "",
        ]
    )


def _host(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _first(network: str) -> str:
    """The first host of a network, with its length."""
    found = ip_network(network)
    return f"{found.network_address + 1}/{found.prefixlen}"
