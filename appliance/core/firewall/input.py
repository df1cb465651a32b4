"""What the box itself answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.core.firewall.readers import readers
from appliance.core.firewall.text import chain, comment, elements, one_or_set, quoted
from appliance.core.firewall.zones import Site, devices
from appliance.core.pair.addresses import pair_addresses, pair_endpoints
from appliance.core.pair.enrolment import ENROLMENT_NETWORK, ENROLMENT_PORT
from appliance.core.pair.instances import instances
from appliance.core.pair.names import PAIR_DEVICE, PAIR_PORT, PROTOCOL_PORT, STATE_PORT
from appliance.core.state import METRICS_PORT

STATES = (
    f"ct state established,related accept{comment('answers, and ICMP errors about known connections')}",
    f"ct state invalid counter name invalid drop{comment('fits no connection')}",
)
"""Two comparisons and no map: the elements of a map belong to one generation of the rules, so a packet that is in
the middle of the old rules when the new ones begin would miss them, and a known connection would lose a packet."""


def input_chains(site: Site, to_box: Sequence[str]) -> list[str]:
    """The input chain and what it jumps to. `to_box` holds the map elements `"device" : jump CHAIN`."""
    rules = [
        f'iifname "lo" accept{comment("the box talks to itself")}',
        *STATES,
        "meta l4proto vmap { icmp : jump icmp_to_box, ipv6-icmp : jump icmpv6_to_box }",
        *_tunnel_ports(site),
        *_pair(site),
        *_address_clients(site),
    ]
    if site.lans:
        lans = quoted(devices(site.lans.values()))
        services = "meta l4proto . th dport { tcp . 22, tcp . 53, udp . 53 }"
        rules.append(f"iifname {lans} {services} accept{comment('ssh and DNS, for the networks inside')}")
    rules += _metrics(site)
    if to_box:
        rules.append(f"iifname vmap {elements(to_box)}")
    rules.append(f"counter name dropped_input{comment('everything else; the policy drops it')}")
    hook = "type filter hook input priority filter; policy drop;"
    return [_icmp(), _icmpv6(site), chain("input", rules, hook)]


def _metrics(site: Site) -> Iterator[str]:
    """For those whom `monitoring:` names, and nobody else: metrics say who is connected, and when."""
    for each in readers(site):
        why = comment(f"metrics: {each.source}")
        by_version = (
            ("ip", [one for one in each.networks if ":" not in one]),
            ("ip6", [one for one in each.networks if ":" in one]),
        )
        sources = [f"{header} saddr {one_or_set(found)} " for header, found in by_version if found]
        for source in sources or [""]:
            yield f"iifname {quoted(each.devices)} {source}tcp dport {METRICS_PORT} accept{why}"


def _tunnel_ports(site: Site) -> list[str]:
    """A tunnel without a listen_port only calls out; its answers are established connections."""
    ports: dict[int, str] = {}
    for name, tunnel in site.config.tunnels.items():
        for path, port in tunnel.ports:
            ports.setdefault(port, site.source("tunnels", name, *path))
    if not ports:
        return []
    lines = [f"{port}{comment(source)}" for port, source in ports.items()]
    physical = quoted(devices(site.interfaces.values()))
    return [f"iifname {physical} udp dport {elements(lines)} accept{comment('WireGuard')}"]


def _pair(site: Site) -> list[str]:
    """What the partner may say: VRRP on the networks where the two hear each other, from its own address there and
    from no router (RFC 9568 section 5.1.1.3), the pair link's WireGuard, and all else inside that link."""
    found = instances(site.config, site.box)
    if not found:
        return []
    rules = []
    for each in found:
        header, limit = ("ip", "ttl") if each.version == 4 else ("ip6", "hoplimit")
        vrrp = f"{header} saddr {each.partner} {header} {limit} 255 meta l4proto 112"
        rules.append(f'iifname "{each.device}" {vrrp} accept{comment(f"VRRP of the partner, {each.name}")}')
    endpoints = pair_endpoints(site.config, site.box)
    if endpoints and site.config.failover:
        own, partner = endpoints
        header = "ip" if own.version == 4 else "ip6"
        device = site.interfaces[site.config.failover.pair_link].device
        link = f"{header} saddr {partner} {header} daddr {own} udp dport {PAIR_PORT}"
        rules.append(f'iifname "{device}" {link} accept{comment("the pair link")}')
    if site.config.failover:
        device = site.interfaces[site.config.failover.pair_link].device
        invited = f"ip6 saddr fe80::/10 ip6 daddr {ENROLMENT_NETWORK} tcp dport {ENROLMENT_PORT}"
        why = comment("appliance pair invite; the address is there only while an invitation is")
        rules.append(f'iifname "{device}" {invited} accept{why}')
    ports = f"{{ udp . {STATE_PORT}, udp . {PROTOCOL_PORT}, tcp . {PROTOCOL_PORT} }}"
    inside = f"ip6 saddr {pair_addresses(site.config, site.box)[1]} meta l4proto . th dport {ports}"
    why = comment("the partner's connections, and its supervisor")
    rules.append(f'iifname "{PAIR_DEVICE}" {inside} accept{why}')
    return rules


def _address_clients(site: Site) -> list[str]:
    """Renewals of DHCPv4 leases come as plain UDP (the first lease passes by, in a packet socket); DHCPv6
    answers go from one link-local address to another (RFC 8415 sections 7.2 and 17)."""
    rules = []
    dhcp = [interface.device for interface in site.uplinks.values() if "dhcp" in interface.address]
    ra = [interface.device for interface in site.uplinks.values() if "ra" in interface.address]
    if dhcp:
        rules.append(f"iifname {quoted(dhcp)} udp sport 67 udp dport 68 accept{comment('DHCPv4 renewals')}")
    if ra:
        ports = "ip6 saddr fe80::/10 ip6 daddr fe80::/10 udp sport 547 udp dport 546"
        rules.append(f"iifname {quoted(ra)} {ports} accept{comment('DHCPv6 answers')}")
    return rules


def _icmp() -> str:
    return chain(
        "icmp_to_box",
        [
            "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept"
            + comment("errors; path MTU discovery lives on them"),
            "icmp type echo-request limit rate 50/second burst 100 packets accept" + comment("ping, within reason"),
        ],
    )


def _icmpv6(site: Site) -> str:
    """RFC 4890 section 4.4. Redirects stay out: a router takes no advice about routes from its neighbours."""
    rules = [
        "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept"
        + comment("errors that must not be dropped (4.4.1)"),
        "icmpv6 type echo-request limit rate 50/second burst 100 packets accept" + comment("ping, within reason"),
        "ip6 hoplimit 255 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
        + comment("neighbours; 255 proves that no router passed it on (RFC 4861 section 7.1)"),
    ]
    ra = [interface.device for interface in site.uplinks.values() if "ra" in interface.address]
    if ra:
        rules.append(
            f"iifname {quoted(ra)} ip6 saddr fe80::/10 ip6 hoplimit 255 icmpv6 type nd-router-advert accept"
            + comment("routers, on uplinks that listen to them")
        )
    announcing = devices(site.announcing)
    if announcing:
        rules.append(
            f"iifname {quoted(announcing)} ip6 hoplimit 255 icmpv6 type nd-router-solicit accept"
            + comment("hosts that ask for the prefix we advertise")
        )
    rules.append(
        "ip6 hoplimit 1 icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, "
        "mld2-listener-report } accept" + comment("multicast listeners (RFC 3810 section 5), never routed")
    )
    return chain("icmpv6_to_box", rules, why=("RFC 4890 section 4.4: what a firewall must let the box itself hear.",))
