"""The bits of a packet's mark, and the rules that make answers leave where the question came in.

    0xff000000  the uplink on which a connection arrived; set here, read by a routing rule per uplink
    0x0000ffff  the tunnel whose encrypted packet this is; set on the WireGuard device (its fwmark)

Neither part ever overwrites the other: an encrypted answer of a tunnel carries both.
"""

from __future__ import annotations

from appliance.core.firewall.text import INDENT, chain, comment, one_or_set, quoted
from appliance.core.model import Config
from appliance.core.state import TUNNEL_MARK, TUNNEL_MARK_MASK, UPLINK_MARK_MASK

_OTHERS = 0xFFFF_FFFF ^ UPLINK_MARK_MASK


def uplink_marks(config: Config, box: str) -> dict[str, int]:
    """The mark of each uplink of `box`, by interface name; empty where an answer has only one way to go.

    It has another way where there are several uplinks, and where a tunnel takes everything (a peer with 0.0.0.0/0).
    """
    uplinks = [name for name, interface in config.boxes[box].interfaces.items() if interface.is_uplink]
    if len(uplinks) < 2 and not has_full_tunnel(config):
        return {}
    return {name: 0x0100_0000 * (position + 1) for position, name in enumerate(uplinks)}


def has_full_tunnel(config: Config) -> bool:
    """Whether a peer stands for the whole internet, of one IP version or both."""
    peers = (peer for tunnel in config.tunnels.values() for peer in tunnel.peers.values())
    return any(network.prefixlen == 0 for peer in peers for network in peer.networks)


def mark_chains(config: Config, box: str) -> list[str]:
    """Remembers the uplink in the connection (conntrack mark), and puts it on every packet of the answer.

    Answers that pass through are marked before the routing decision (prerouting, after conntrack at -200);
    those of the box itself in a chain of type route, which makes the kernel route again when the mark has
    changed (net/netfilter/nft_chain_route.c). WireGuard's own packets pass there too.
    """
    marks = uplink_marks(config, box)
    if not marks:
        return []
    interfaces = config.boxes[box].interfaces
    remember = [
        f'iifname "{interfaces[name].device}" ct state new '
        f"ct mark set ct mark & {_OTHERS:#010x} | {mark:#010x}" + comment(f"{name} asks: remember it")
        for name, mark in marks.items()
    ]
    answer = [
        f"ct direction reply ct mark & {UPLINK_MARK_MASK:#010x} == {mark:#010x} "
        f"meta mark set meta mark & {_OTHERS:#010x} | {mark:#010x}" + comment(f"an answer to {name} leaves by {name}")
        for name, mark in marks.items()
    ]
    inside = f"iifname != {quoted(interfaces[name].device for name in marks)} "
    why = ("What arrives on an uplink is answered on the same one, whatever else leads to the internet.",)
    return [
        chain(
            "answers_through_the_box",
            [*remember, *(inside + rule for rule in answer)],
            "type filter hook prerouting priority mangle; policy accept;",
            why,
        ),
        chain("answers_of_the_box", answer, "type route hook output priority mangle; policy accept;"),
        *_tunnel_sources(config, box),
    ]


def _tunnel_sources(config: Config, box: str) -> list[str]:
    """Tunnels answer from the address that they were called at.

    The kernel's WireGuard does so by itself. wireguard-go would, but loses the address of what it received wherever
    the kernel coalesces UDP (conn/gso_linux.go and splitCoalescedMessages in conn/bind_std.go copy the data and not
    the control message), and answers from the address of the first uplink; the peer then follows it there. Ahead
    of conntrack (priority raw), so that the answer is seen as one; in a chain of type route, so that it is routed
    by its new source.
    """
    interfaces = config.boxes[box].interfaces
    uplinks = [interface.device for interface in interfaces.values() if interface.is_uplink]
    ports = [str(port) for tunnel in config.tunnels.values() for _, port in tunnel.ports]
    if len(uplinks) < 2 or not ports:
        return []
    maps, hear, say = [], [], []
    for family, header in (("ipv4", "ip"), ("ipv6", "ip6")):
        name = f"called_at_{family}"
        maps.append(
            f"{INDENT}map {name} {{\n"
            f"{INDENT * 2}typeof {header} saddr . udp sport . udp dport : {header} daddr\n"
            f"{INDENT * 2}flags dynamic,timeout\n"
            f"{INDENT * 2}timeout 3m\n"
            f"{INDENT * 2}size 65535\n"
            f"{INDENT}}}\n"
        )
        hear.append(
            f"iifname {quoted(uplinks)} meta nfproto {family} udp dport {one_or_set(ports)} "
            f"update @{name} {{ {header} saddr . udp sport . udp dport : {header} daddr }}"
        )
        say.append(
            f"meta mark & {TUNNEL_MARK_MASK:#010x} == {TUNNEL_MARK:#010x} meta nfproto {family} "
            f"{header} saddr set {header} daddr . udp dport . udp sport map @{name}"
        )
    why = ("Tunnels answer from the address that they were called at, and thereby on that uplink.",)
    return [
        *maps,
        chain("tunnels_are_called", hear, "type filter hook input priority raw; policy accept;", why),
        chain("tunnels_answer", say, "type route hook output priority raw; policy accept;"),
    ]
