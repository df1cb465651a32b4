"""Connections that the firewall drops: who wanted what, and what the file would have to say."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from appliance.core.doctor.evidence import Evidence
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.wire import Flow
from appliance.core.firewall.zones import Site, Zone
from appliance.core.model import BOX, AllowRule
from appliance.core.services import SERVICES

MOST = 5
"""So many kinds of refused connections are told."""
_FOR_ALL_INSIDE = ("tcp/22", "tcp/53", "udp/53")
"""What the box answers on every network inside, without a rule (core/firewall/input.py)."""


class Rules:
    """The configuration that runs, as one box sees it."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def leased(self, interface: str) -> bool:
        """Whether the interface is given its address."""
        return any(isinstance(each, str) for each in self.site.interfaces[interface].address)

    def zone(self, address: str, device: str = "") -> Zone | None:
        """Where the host stands; on `device` if it is known to have come from there."""
        found = self.site.zone_of(ip_address(address))
        if device and (found is None or device not in found.devices):
            named = {each.device: Zone(name, each.device) for name, each in self.site.interfaces.items()}
            whole = map(self.site.tunnel_zone, self.site.config.tunnels)
            named |= {each: zone for zone in whole for each in zone.devices}
            return named.get(device)
        return found

    def named(self, label: str) -> Zone | None:
        """`lan`, `office`, `office.geneva` as rules say it."""
        return self.site.zone(label)

    def network(self, address: str) -> str:
        """The network inside that the address is in, or the address itself."""
        host = ip_address(address)
        networks = [net for name in self.site.lans for net in self.site.subnets(name) if host in net]
        return str(networks[0]) if networks else address

    def uplink(self) -> Zone | None:
        return next((Zone(name, interface.device) for name, interface in self.site.uplinks.items()), None)

    def between(self, origin: Zone, target: Zone) -> tuple[str, ...]:
        """The places of the rules that speak of the two zones or of the whole tunnels that they are part of."""
        origins, targets = {origin.label, origin.name}, {target.label, target.name}
        return tuple(
            self.site.source("firewall", "allow", index)
            for index, rule in enumerate(self.site.config.firewall.allow)
            if rule.from_ in origins and rule.to in targets
        )

    def lets_in(self, origin: Zone) -> bool:
        """Whether a rule lets the zone call anybody."""
        return any(rule.from_ in (origin.label, origin.name) for rule in self.site.config.firewall.allow)

    def answers(self, origin: Zone, service: str) -> bool:
        """Whether a call of the service from there is for the box, and taken; or for a host behind one of its ports."""
        config = self.site.config
        taken = {f"udp/{port}" for tunnel in config.tunnels.values() for _, port in tunnel.ports}
        taken |= {f"{each.port.protocol}/{each.port.first}" for each in config.firewall.port_forwards}
        if service in taken or (origin.name in self.site.lans and service in _FOR_ALL_INSIDE):
            return True
        mine = [each for each in self.site.config.firewall.allow if each.to == BOX]
        return any(_covers(rule, service) for rule in mine if rule.from_ in (origin.label, origin.name))

    def is_spoofed(self, flow: Flow) -> bool:
        """Whether no host on the network inside that it came from has such an address. Not of IPv6: a prefix that the
        provider delegates is not in the file."""
        zone = self.site.zone_of(ip_address(flow.source))
        here = zone is not None and flow.device in zone.devices
        return ":" not in flow.source and bool(self.network_on(flow.device)[1]) and not here

    def network_on(self, device: str) -> tuple[str, str]:
        """(name, networks) of the network inside on the device; "" where there is none."""
        for name, interface in self.site.lans.items():
            if interface.device == device:
                return name, " and ".join(str(each) for each in self.site.subnets(name) if each.version == 4)
        return "", ""

    def partners_addresses(self) -> tuple[tuple[str, str], ...]:
        """(this box's device, address) of the other box's own IPv4 addresses on the networks that both are in."""
        found = []
        for box in (box for name, box in self.site.config.boxes.items() if name != self.site.box):
            for name, interface in box.interfaces.items():
                if own := self.site.interfaces.get(name):
                    static = [each for each in interface.address if not isinstance(each, str) and each.version == 4]
                    found += [(own.device, str(each.ip)) for each in static]
        return tuple(found)

    def place(self) -> str:
        """Where the rules stand."""
        return f"firewall.allow, line {self.site.line(('firewall',))}"


def _covers(rule: AllowRule, service: str) -> bool:
    if not rule.services and not rule.ports:
        return True
    protocol, _, port = service.partition("/")
    ports = [*rule.ports, *(each for name in rule.services for each in SERVICES[name])]
    return any(each.protocol == protocol and each.first <= int(port) <= each.last for each in ports)


def dropped(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """The counter says that something was dropped; what it was is what arrived and did not leave."""
    if not evidence.dropped:
        return
    # On an uplink another source may stand for the one inside.
    uplinks = {uplink.device for uplink in evidence.uplinks}
    left = {("" if flow.device in uplinks else flow.source, *flow[2:]) for flow in evidence.overheard.passed}
    told: set[tuple[str, str, str]] = set()
    for flow in evidence.overheard.arrived:
        if flow.device not in evidence.inside or {flow[1:], ("", *flow[2:])} & left:
            continue
        if evidence.spoofed and rules and rules.is_spoofed(flow):
            continue  # no rule would help
        found, key = _finding(flow, evidence, rules)
        if key not in told and len(told) < MOST:
            told.add(key)
            yield found


def _finding(flow: Flow, evidence: Evidence, rules: Rules | None) -> tuple[Finding, tuple[str, str, str]]:
    origin = rules.zone(flow.source, flow.device) if rules else None
    target = (rules.zone(flow.destination) or rules.uplink()) if rules else None
    here, there = origin.label if origin else flow.device, target.label if target else "there"
    evidence_lines = [f"{evidence.dropped} packets were dropped meanwhile (counter dropped_forward)"]
    remedy = "if it is wanted, allow it under firewall.allow in appliance.yaml"
    if rules and origin and target:
        near = rules.between(origin, target)
        evidence_lines.append(
            f"{'; '.join(near)} {'allow' if len(near) > 1 else 'allows'} other services or hosts only"
            if near
            else f"no rule goes from {here} to {there} ({rules.place()})"
        )
        rule = f"- {{from: {here}, to: {there}, {_services(flow.service)}}}"
        remedy = f"if it is wanted, add under {rules.place()}: {rule}"
    return Finding(
        "firewall",
        f"{here} to {there}",
        f"The firewall drops {flow.service} from {flow.source} ({here}) to {flow.destination} ({there}): "
        "no rule allows it.",
        tuple(evidence_lines),
        remedy,
    ), (here, there, flow.service)


def dropped_here(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """Of what was meant for the box itself, by somebody inside; what strangers try from outside is no fault."""
    if not evidence.dropped_here or not rules:
        return
    told: set[tuple[str, str]] = set()
    for flow in evidence.overheard.ignored:
        origin = rules.zone(flow.source, flow.device)
        # Devices ask their router for port mappings, the time and more, unasked and content without an answer.
        wanted = flow.service.startswith("tcp/") or flow.service == "udp/53"
        if flow.device not in evidence.inside or origin is None or not wanted or rules.answers(origin, flow.service):
            continue
        if evidence.spoofed and rules.is_spoofed(flow):
            continue
        if (origin.label, flow.service) in told or len(told) >= MOST:
            continue
        told.add((origin.label, flow.service))
        rule = f"- {{from: {origin.label}, to: {BOX}, {_services(flow.service)}}}"
        yield Finding(
            "firewall",
            f"{origin.label} to {BOX}",
            f"The firewall drops {flow.service} from {flow.source} ({origin.label}) to this box ({flow.destination}): "
            "no rule allows it.",
            (f"{evidence.dropped_here} packets were dropped meanwhile (counter dropped_input)",),
            f"if it is wanted, add under {rules.place()}: {rule}",
        )


def spoofed(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """Hosts inside with an address of elsewhere."""
    if not evidence.spoofed or not rules:
        return
    told: set[tuple[str, str]] = set()
    for flow in (*evidence.overheard.insisting, *evidence.overheard.ignored):
        if not rules.is_spoofed(flow):
            continue
        name, networks = rules.network_on(flow.device)
        if (flow.device, flow.source) in told or len(told) >= MOST:
            continue
        told.add((flow.device, flow.source))
        yield Finding(
            "wrong-source",
            f"{flow.source} on {name}",
            f"A host on {name} has the address {flow.source}, none of {networks}: all that it sends is dropped.",
            (f"{evidence.spoofed} packets were dropped meanwhile (counter spoofed)", f"it tried {flow.service}"),
            f"give it an address of {networks} (is it on the right cable, or VLAN?)",
        )


def _services(service: str) -> str:
    """`services: [https]`, or `ports: [tcp/8443]` where the port has no name."""
    if service == "ping":
        return "services: [ping]"
    for name, ports in SERVICES.items():
        if any(f"{each.protocol}/{each.first}" == service for each in ports):
            return f"services: [{name}]"
    return f"ports: [{service}]"
