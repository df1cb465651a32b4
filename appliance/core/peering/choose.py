"""What a new peer is given where nobody chose: its address, what it may reach, and where it finds the box."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from itertools import chain

from appliance.core.model import BOX, AllowRule, Config, Peer
from appliance.core.pair.addresses import PAIR_PORTS
from appliance.core.values import Address, Endpoint, Network

_BEHIND_NAT = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7")
)
"""Addresses that nobody outside can call (RFC 1918, 6598, 3927, 4193)."""


class NotKnown(ValueError):
    """It cannot be chosen; the text says what to write."""


def tunnel_of(config: Config, wanted: str | None) -> str:
    """The tunnel that is meant. Raises NotKnown."""
    names = ", ".join(config.tunnels)
    if wanted is not None:
        if wanted not in config.tunnels:
            raise NotKnown(f"there is no tunnel {wanted}; the file has {names or 'none'}")
        return wanted
    if len(config.tunnels) != 1:
        raise NotKnown(f"say in which tunnel: --tunnel NAME; the file has {names or 'none, write one first'}")
    return next(iter(config.tunnels))


def peer_of(config: Config, name: str, tunnel: str | None) -> tuple[str, Peer]:
    """The tunnel that a peer is in, and the peer; `name` may be TUNNEL.PEER. Raises NotKnown."""
    before, dot, after = name.partition(".")
    if dot:
        tunnel, name = before, after
    found = [each for each in config.tunnels if name in config.tunnels[each].peers and tunnel in (None, each)]
    if len(found) == 1:
        return found[0], config.tunnels[found[0]].peers[name]
    if found:
        raise NotKnown(f"{name} is in {' and in '.join(found)}; say which: {found[0]}.{name}")
    where = f"in {tunnel}" if tunnel else "in the file"
    raise NotKnown(f"there is no peer {name} {where}; `appliance peer list` shows those that there are")


def free_addresses(config: Config, tunnel: str) -> list[Address]:
    """The lowest address that nobody has, for each IP version of the tunnel. Raises NotKnown where all are taken."""
    found: list[Address] = []
    for own in config.tunnels[tunnel].addresses:
        if not any(each.version == own.version for each in found):
            found.append(_free(config, own.network, own.ip))
    return found


def _free(config: Config, network: Network, own: Address) -> Address:
    peers = [peer for tunnel in config.tunnels.values() for peer in tunnel.peers.values()]
    taken = {address for peer in peers for address in peer.address}
    taken |= {each.ip for tunnel in config.tunnels.values() for each in tunnel.addresses}
    networks = [each for peer in peers for each in peer.networks if each.prefixlen and each.overlaps(network)]
    candidate = own + 1
    for first in (own + 1, network.network_address + 1):
        candidate = first
        while candidate in network and candidate != network.broadcast_address:
            around = next((each for each in networks if candidate in each), None)
            if around:
                candidate = around.broadcast_address + 1
            elif candidate in taken:
                candidate += 1
            else:
                return candidate
    raise NotKnown(f"no address is free in {network}; give the tunnel a larger network, or write --address")


def endpoint(config: Config, tunnel: str) -> Endpoint:
    """Where the box listens for this tunnel, as far as the file knows. Raises NotKnown."""
    port = config.tunnels[tunnel].listen_port
    if port is None:
        raise NotKnown(
            f"tunnels.{tunnel}.listen_port is not written, so the port is another one after each boot; write it first"
        )
    found = list(_outside(config))
    for address in found:
        if not any(address in network for network in _BEHIND_NAT if network.version == address.version):
            return Endpoint(str(address), port)
    if found:
        why = f"the uplink's address {found[0]} cannot be called from outside"
    else:
        why = "the file does not say at which address the box is reached from outside (its uplink gets one by itself)"
    raise NotKnown(
        f"{why}; write --endpoint HOST:PORT, a name or address that leads to UDP port {port} of the box (where a "
        "router of the provider stands in front, it must forward the port)"
    )


def next_port(config: Config, tunnel: str) -> int | None:
    """A UDP port for the box's next key of the tunnel: the neighbour of the one that it has, and back the next time,
    so that whoever forwards both need not be asked again. None where no port is written. Raises NotKnown."""
    now = config.tunnels[tunnel].listen_port
    if now is None:
        return None
    # Those of a pair, too: a box may become one of two.
    taken = {port for each in config.tunnels.values() for _, port in each.ports} | PAIR_PORTS.keys()
    taken |= {each.port.first for each in config.firewall.port_forwards if each.port.protocol == "udp"}
    candidates: Iterable[int] = chain((now ^ 1,), range(now + 1, 65536), range(now - 1, 1023, -1))
    for port in candidates:
        if port and port not in taken:
            return port
    raise NotKnown("no UDP port is free; write --port")


def _outside(config: Config) -> Iterator[Address]:
    """The uplinks' addresses: in a pair the ones that move with the role."""
    uplinks = [name for box in config.boxes.values() for name, each in box.interfaces.items() if each.is_uplink]
    if config.failover:
        for name in dict.fromkeys(uplinks):
            yield from (each.ip for each in config.failover.virtual_addresses.get(name, []))
        return
    for box in config.boxes.values():
        for interface in box.interfaces.values():
            if interface.is_uplink:
                yield from (each.ip for each in interface.address if not isinstance(each, str))


def reachable(config: Config, tunnel: str, peer: str | None, rules: Iterable[AllowRule] = ()) -> list[Network]:
    """The networks that a peer (None: a new one) has a use for: the tunnel's own, and what rules let it reach.

    `rules` are those that come with it. What an uplink leads to is not among them.
    """
    sources = {tunnel, f"{tunnel}.{peer}"}
    found = [each.network for each in config.tunnels[tunnel].addresses]
    for rule in (each for each in [*config.firewall.allow, *rules] if each.from_ in sources):
        found += rule.hosts or _zone(config, rule.to, peer)
    return widest(each for each in found if each.prefixlen)


def uplink_names(config: Config) -> list[str]:
    """The interfaces that lead to the internet."""
    each = {name: i for box in config.boxes.values() for name, i in box.interfaces.items() if i.is_uplink}
    return list(each)


def mentions(config: Config, zone: str) -> list[int]:
    """The positions in firewall.allow of the rules that name the zone."""
    return [index for index, rule in enumerate(config.firewall.allow) if zone in (rule.from_, rule.to)]


def widest(networks: Iterable[Network]) -> list[Network]:
    """The networks without those that another one holds, in their order."""
    every = list(dict.fromkeys(networks))
    return [
        each for each in every if not any(_inside(each, other) for other in every if other != each)
    ]  # fmt: skip


def _inside(network: Network, other: Network) -> bool:
    same = network.version == other.version and network.prefixlen >= other.prefixlen
    return same and network.network_address in other


def _zone(config: Config, zone: str, without: str | None) -> list[Network]:
    name, _, only = zone.partition(".")
    if name == BOX or name in uplink_names(config):
        return []
    if name in config.tunnels:
        peers = config.tunnels[name].peers
        wanted = [each for key, each in peers.items() if key == only or not (only or key == without)]
        own = [] if only else [each.network for each in config.tunnels[name].addresses]
        return [*own, *(ip_network(text) for peer in wanted for text in peer.allowed_ips)]
    found = []
    for box in config.boxes.values():
        for each in box.interfaces[name].address if name in box.interfaces else ():
            if not isinstance(each, str):
                found.append(each.network)
    virtual = config.failover.virtual_addresses.get(name, []) if config.failover else []
    return [*found, *(each.network for each in virtual)]


def granted_already(config: Config, from_: str, to: str) -> bool:
    """Whether a rule of the file lets the one zone reach all of the other: `check` would call a second one needless."""

    def covers(zone: str, wanted: str) -> bool:
        return wanted == zone or wanted.startswith(f"{zone}.")

    return any(
        covers(rule.from_, from_) and covers(rule.to, to) and not (rule.services or rule.ports or rule.hosts)
        for rule in config.firewall.allow
    )
