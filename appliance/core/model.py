"""The vocabulary of appliance.yaml. Field names are the file's own keys; everything not written has a safe default.

The model is strict: an unknown key or a value of another type is an error. It holds what was written, cross-checks
nothing and derives nothing.
"""

from __future__ import annotations

import difflib
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from appliance.core.prefixes import Prefix, prefix, prefix_text
from appliance.core.problems import Path
from appliance.core.services import SERVICES
from appliance.core.values import (
    NAME,
    AdvertSeconds,
    Age,
    Day,
    Device,
    HostAddress,
    HttpsUrl,
    InterfaceAddress,
    LoginKey,
    Mtu,
    Name,
    Network,
    OnePort,
    PeerEndpoint,
    Period,
    PortNumber,
    PortRange,
    PppUser,
    PublicKey,
    SigningKey,
    Subnet,
    TunnelName,
    UplinkAddress,
    bad,
    choice,
    integer,
    network_or,
    one_or_more,
    or_word,
    shown,
)

BOX = "box"
"""The zone that is the box itself; only `to:` may name it."""

LONGEST_ZONE = 12 + 1 + 32
"""A peer's: TUNNEL.PEER."""
_ZONE = re.compile(rf"{NAME}(?:\.{NAME})?\Z")

Addresses = Annotated[list[InterfaceAddress], BeforeValidator(one_or_more)]
HostAddresses = Annotated[list[HostAddress], BeforeValidator(one_or_more)]
LoginKeys = Annotated[list[LoginKey], BeforeValidator(one_or_more)]
Subnets = Annotated[list[Subnet], BeforeValidator(one_or_more)]


def _version(value: Any) -> Any:
    if value != 1 or isinstance(value, bool):
        raise bad("this system reads version 1; write `version: 1`")
    return value


def _service(value: Any) -> str:
    if not isinstance(value, str) or value not in SERVICES:
        near = difflib.get_close_matches(str(value)[:32], SERVICES, 1, 0.6)
        instead = f"did you mean {near[0]}?" if near else f"known are {', '.join(SERVICES)}; others go under `ports:`"
        raise bad(f"{shown(value)} is not a known service; {instead}")
    return value


def _zone(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise bad("write where: an interface (lan), a tunnel (office), or a peer (office.geneva)")
    if len(value) > LONGEST_ZONE or not _ZONE.match(value):
        raise bad(f"{shown(value)} is no name; write an interface (lan), a tunnel (office), or a peer (office.geneva)")
    return value


Zone = Annotated[str, BeforeValidator(_zone)]
_READER = {"type": "string", "description": "an interface, a tunnel, a peer, a host or a network inside"}
Reader = Annotated[Network | str, BeforeValidator(network_or(_zone)), WithJsonSchema(_READER)]
Service = Annotated[str, BeforeValidator(_service), Field(json_schema_extra={"enum": list(SERVICES)})]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False, frozen=True, defer_build=True)


class Secret(Model):
    """A value that does not stand in the file; the box keeps it under this name."""

    secret: Name = Field(description="The name under which the box keeps the secret.")


class Pppoe(Model):
    """How the box shows a provider who it is (RFC 2516; PAP, CHAP or MS-CHAPv2, whichever the provider asks for)."""

    user: PppUser = Field(description="The user name that the provider gave.")
    password: Secret = Field(description="The password; the box keeps it.")


class Interface(Model):
    """One network that the box stands in. It is an uplink when it has a gateway, or an address from the provider."""

    device: Device = Field(
        description="The network device, as the kernel names it; enp1s0.20 is VLAN 20 on enp1s0, made by the box."
    )
    address: Annotated[list[UplinkAddress], BeforeValidator(one_or_more)] = Field(
        default_factory=list,
        description="Static addresses with prefix length; `dhcp` for DHCPv4; `ra` for IPv6 router advertisements. "
        "`pppoe` for a PPPoE session, with `ra` beside it if the provider has IPv6. "
        "Absent only where failover.virtual_addresses names the one address that there is.",
    )
    gateway: HostAddresses = Field(
        default_factory=list, description="The next router towards the internet, one per IP version."
    )
    mtu: Mtu | None = Field(
        default=None,
        description="The MTU of the device; left as it is when not written. A PPPoE session on it has 8 bytes less.",
    )
    pppoe: Pppoe | None = Field(
        default=None,
        description="The user and password, where the address is `pppoe`: "
        "`pppoe: {user: office@example.net, password: {secret: provider}}`.",
    )
    delegated_from: Name | None = Field(
        default=None, description="The uplink whose delegated IPv6 prefix (DHCPv6-PD) this network gets a /64 of."
    )

    @property
    def is_uplink(self) -> bool:
        return bool(self.gateway) or any(isinstance(address, str) for address in self.address)

    @property
    def announced(self) -> list[str]:
        """The static IPv6 networks that hosts here can make themselves an address in (SLAAC takes a /64)."""
        static = [address for address in self.address if not isinstance(address, str)]
        return [str(each.network) for each in static if each.version == 6 and each.network.prefixlen == 64]


class Box(Model):
    interfaces: dict[Name, Interface] = Field(description="The networks of this box, by the names that rules use.")


class Failover(Model):
    prefer: Name | None = Field(default=None, description="The box that is master when both are well.")
    virtual_addresses: dict[Name, Addresses] = Field(description="By interface: the addresses that move.")
    pair_link: Name = Field(description="The interface over which the two boxes keep each other's state.")
    advert_seconds: AdvertSeconds = Field(
        default=0.05, description="How often the master says that it lives; three times unheard, the other takes over."
    )
    virtual_router_id: Annotated[int, BeforeValidator(integer(1, 255, "a VRRP router ID")), Field(ge=1, le=255)] = (
        Field(default=51, description="The pair's VRRP number; another one for each pair that shares a network.")
    )


class Replaced(Model):
    public_key: PublicKey = Field(description="The peer's public key until now.")
    preshared_key: Secret | None = Field(default=None, description="The preshared key until now.")
    until: Day = Field(description="The last day (UTC) on which they count, used or not.")


class Peer(Model):
    public_key: PublicKey = Field(description="The peer's public key, as `wg pubkey` prints it there.")
    preshared_key: Secret | None = Field(default=None, description="A key that both sides have, besides their own.")
    endpoint: PeerEndpoint | None = Field(default=None, description="Where the peer listens; absent: it calls us.")
    address: HostAddresses = Field(default_factory=list, description="The peer's own addresses inside the tunnel.")
    networks: Subnets = Field(default_factory=list, description="Networks that are reached through this peer.")
    keepalive: Annotated[int, BeforeValidator(integer(1, 65535, "seconds")), Field(ge=1, le=65535)] | None = Field(
        default=None, description="Seconds between keepalive packets; 25 holds a NAT's mapping open."
    )

    since: Day | None = Field(default=None, description="When its keys were made; `keys.max_age` counts from here.")
    expires: Day | None = Field(default=None, description="The last day (UTC) on which it gets in; absent: no end.")
    replaces: Replaced | None = Field(default=None, description="The keys before, until the new ones are first used.")

    @cached_property
    def allowed(self) -> tuple[Prefix, ...]:
        """What WireGuard accepts from the peer and sends to it: its own addresses, and the networks behind it."""
        return tuple(prefix(value) for value in (*self.address, *self.networks))

    @cached_property
    def allowed_ips(self) -> tuple[str, ...]:
        """The same as text. Made once, as the other: thousands of addresses take their time."""
        return tuple(map(prefix_text, self.allowed))


class KeyBefore(Model):
    """The box's own key of a tunnel until now: number `key` - 1."""

    listen_port: PortNumber | None = Field(default=None, description="The UDP port at which it goes on to be answered.")
    until: Day = Field(description="The last day (UTC) on which it counts, used or not.")


class Tunnel(Model):
    """A WireGuard interface: wg-NAME, and w2-NAME with every second key, so that two can stand beside each other."""

    listen_port: PortNumber | None = Field(default=None, description="The UDP port; absent: one that is free.")
    key: Annotated[int, BeforeValidator(integer(1, 9999, "the number of a key")), Field(ge=1, le=9999)] = Field(
        default=1,
        description="The number of the box's key for this tunnel; the box makes it. See `appliance peer rotate --own`.",
    )
    since: Day | None = Field(default=None, description="When that key was made; absent: as its file on the box says.")
    replaces: KeyBefore | None = Field(
        default=None, description="The key before, for the peers that do not know the new one yet."
    )
    addresses: Addresses = Field(description="The box's own addresses in the tunnel, with their prefix lengths.")
    engine: Annotated[
        Literal["auto", "kernel", "userspace"], BeforeValidator(choice("auto", "kernel", "userspace"))
    ] = Field(default="auto", description="What runs the WireGuard protocol.")
    mtu: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=576, le=9216)],
        BeforeValidator(or_word("auto", integer(576, 9216, "an MTU in bytes"))),
    ] = Field(default="auto", description="auto: the uplink's MTU less the encapsulation.")
    peers: dict[Name, Peer] = Field(
        default_factory=dict, description="Who is at the other end: people's devices, other sites."
    )

    @property
    def ports(self) -> list[tuple[Path, int]]:
        """The UDP ports that are written, each with its place below the tunnel."""
        before = self.replaces.listen_port if self.replaces else None
        found: list[tuple[Path, int | None]] = [(("listen_port",), self.listen_port)]
        found.append((("replaces", "listen_port"), before))
        return [(path, port) for path, port in found if port is not None]


class Monitoring(Model):
    readers: Annotated[list[Reader], BeforeValidator(one_or_more)] = Field(
        description="Who may read: interfaces, tunnels, peers as TUNNEL.PEER, hosts and networks inside."
    )


class AllowRule(Model):
    """Lets new connections pass from one zone to another; answers follow by themselves."""

    from_: Zone = Field(alias="from", description="An interface, a tunnel, or a peer as TUNNEL.PEER.")
    to: Zone = Field(description="An interface, a tunnel, a peer as TUNNEL.PEER, or `box`.")
    services: Annotated[list[Service], BeforeValidator(one_or_more)] = Field(
        default_factory=list, description="Only these services, by name; without them and without `ports`, everything."
    )
    ports: Annotated[list[PortRange], BeforeValidator(one_or_more)] = Field(
        default_factory=list, description="Only these ports, beside the services: tcp/445, udp/5000-5010."
    )
    hosts: Subnets = Field(default_factory=list, description="Only these destinations inside `to`.")


class PortForward(Model):
    from_: Zone = Field(alias="from", description="The uplink at which the connection arrives.")
    port: OnePort = Field(description="tcp/PORT or udp/PORT at the box's address.")
    to: HostAddress = Field(description="The host inside.")
    to_port: PortNumber | None = Field(default=None, description="Its port; absent: the same.")


class Firewall(Model):
    allow: list[AllowRule] = Field(
        default_factory=list, description="What may pass; everything else is dropped and counted."
    )
    masquerade: Annotated[list[Zone], BeforeValidator(one_or_more)] = Field(
        default_factory=list, description="Uplinks behind whose IPv4 address the networks inside hide."
    )
    port_forwards: list[PortForward] = Field(
        default_factory=list, description="Ports of an uplink that a host inside answers."
    )
    mss_clamp: Annotated[
        Literal["auto", "off"] | Annotated[int, Field(ge=536, le=9176)],
        BeforeValidator(lambda value: value if value == "off" else or_word("auto", integer(536, 9176, "bytes"))(value)),
    ] = Field(default="auto", description="auto: TCP segments as large as the path carries; or bytes; or off.")


class Trust(Model):
    threshold: Annotated[int, BeforeValidator(integer(1, 16, "a number of signatures")), Field(ge=1, le=16)] = Field(
        default=1, description="How many of the keys must sign a bundle."
    )
    keys: dict[Name, SigningKey] = Field(description="Who may sign, by name: each an OpenSSH ed25519 public key.")


class KeyAges(Model):
    max_age: Age = Field(description="How old keys may become, a peer's and the box's; `status` says so in time: 180d.")


class Bundles(Model):
    url: HttpsUrl = Field(description="Where the site's signed bundle lies; any web server that gives it out will do.")
    every: Period = Field(default=900.0, description="How often it is looked for: 15m.")


class Config(Model):
    """The whole office gateway in one file, both boxes included."""

    version: Annotated[Literal[1], BeforeValidator(_version)] = Field(description="The version of this vocabulary: 1.")
    site: Name = Field(description="The name of the office.")
    boxes: dict[Name, Box] = Field(description="One box, or two for failover, by their names.")
    failover: Failover | None = Field(default=None, description="How two boxes stand in for each other.")
    dns: HostAddresses = Field(
        default_factory=list, description="Name servers; absent: those that DHCP or RA hand out."
    )
    tunnels: dict[TunnelName, Tunnel] = Field(default_factory=dict, description="WireGuard interfaces, by name.")
    firewall: Firewall = Field(default=Firewall(), description="What may pass from where to where.")
    trust: Trust | None = Field(default=None, description="Whose signed bundles this site takes; absent: nobody's.")

    keys: KeyAges | None = Field(default=None, description="How old keys may become; absent: as old as they like.")
    administrators: dict[Name, LoginKeys] = Field(
        default={}, description="Who may log in by ssh, as user admin, by name: each with one public key or several."
    )
    monitoring: Monitoring | None = Field(
        default=None, description="Who may read this box's metrics, as Prometheus does; absent: nobody."
    )
    bundles: Bundles | None = Field(default=None, description="Where signed bundles are fetched from, by themselves.")

    def announces(self, interface: Interface) -> bool:
        """A LAN's IPv6 prefix is announced to its hosts; in a pair the virtual address will do so, not both boxes."""
        inside = not interface.is_uplink and self.failover is None
        return inside and bool(interface.delegated_from or interface.announced)
