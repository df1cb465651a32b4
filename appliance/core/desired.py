"""Config and a box's name → Desired: everything that this box should be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime

from appliance.core.check import check
from appliance.core.document import Document
from appliance.core.firewall import render_both, uplink_marks
from appliance.core.firewall.readers import listen_file
from appliance.core.firewall.zones import Site
from appliance.core.grants import doors, granted
from appliance.core.in_force import DAY_SECONDS
from appliance.core.login import login_keys_file
from appliance.core.model import Box, Config, Peer
from appliance.core.networkd import network_path, resolved_file
from appliance.core.pair.desired import desired_pair
from appliance.core.pair.files import pair_files
from appliance.core.pair.lease_files import network_files
from appliance.core.pair.leases import leased_uplinks
from appliance.core.pair.routing import pair_rules
from appliance.core.pppoe import as_packets_meet_it, options_files, sessions
from appliance.core.prefixes import Prefix, collapsed, prefix, prefix_text
from appliance.core.problems import ConfigurationError, Problem
from appliance.core.state import (
    DEFAULTS,
    LOGIN_KEYS_FILE,
    MAIN_TABLE,
    MONITORING_FILE,
    NO_TABLE,
    OLD,
    RESOLVED_FILE,
    TUNNEL_MARK,
    TUNNEL_MARK_MASK,
    TUNNEL_TABLE,
    UPLINK_MARK_MASK,
    UPLINK_TABLE,
    Desired,
    DesiredLink,
    DesiredPeer,
    DesiredTunnel,
    Fetch,
    LeasedUplink,
    PppSession,
    Route,
    Rule,
    Ruleset,
    Trust,
    Uplink,
    tunnel_device,
)
from appliance.core.vlans import vlans

BLACKHOLE_METRIC = 1_000_000
"""Behind every tunnel prefix: while a tunnel is away its packets end here and never leave by an uplink."""

PRIORITY_MAIN = 5100
PRIORITY_MARK = 5250
PRIORITY_FULL_TUNNEL = 5300

SYSCTLS = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}


def compile_box(content: bytes, box: str | None) -> Desired:
    """Bytes of appliance.yaml to what one box should be; raises ConfigurationError with every problem.

    `box` None means the only box of the file.
    """
    config, document = check(content)
    return desired_of(config, document, box, content)


def desired_of(config: Config, document: Document, box: str | None, content: bytes) -> Desired:
    """The same for a configuration that was read already, from `content`."""
    return desired(config, document, _box_name(config, document, box), hashlib.sha256(content).hexdigest())


def _box_name(config: Config, document: Document, box: str | None) -> str:
    if box is None and len(config.boxes) == 1:
        return next(iter(config.boxes))
    if box in config.boxes and box is not None:
        return box
    names = " or ".join(config.boxes)
    message = (
        f"this box is {box}, but the file knows only {names}" if box else f"which box this is, is not known: {names}"
    )
    raise ConfigurationError([Problem(("boxes",), message, document.mark(("boxes",)))])


def desired(config: Config, document: Document, name: str, digest: str) -> Desired:
    """What the box `name` of a checked configuration should be. `digest` names the bytes it was read from."""
    box, met = config.boxes[name], as_packets_meet_it(config)
    leased = leased_uplinks(config, name)
    line = document.line
    pair = desired_pair(config, name)
    site = Site(met, name, line)
    tunnels = tuple(one for each in config.tunnels for one in _tunnel(config, each))
    uplinks = _uplinks(met, name)
    devices = tuple(each.device for each in met.boxes[name].interfaces.values() if not each.pppoe)
    files = network_files(config, name)
    files[RESOLVED_FILE] = resolved_file(config, box)
    files.update(pair_files(config, name))
    files.update(options_files(config, name))
    dialled = sessions(config, name)
    if config.administrators:
        files[LOGIN_KEYS_FILE] = login_keys_file(config.administrators)
    if config.monitoring:
        files[MONITORING_FILE] = listen_file(site)
    return Desired(
        site=config.site,
        box=name,
        digest=digest,
        links=_links(box, leased, dialled),
        uplinks=uplinks,
        tunnels=tunnels,
        routes=tuple(_routes(config)),
        rules=(*_rules(tunnels, uplinks), *(rule for rule in pair_rules(config, name) if rule.table != NO_TABLE)),
        files=files,
        sysctls=_sysctls(uplinks, leased, dialled, _cards(box) if pair else ()),
        ruleset=Ruleset(*render_both(config, name, line), devices),
        grants=granted(site),
        doors=doors(site),
        pair=pair,
        leased=leased,
        sessions=dialled,
        vlans=vlans(interface.device for interface in box.interfaces.values()),
        key_days=config.keys.max_age if config.keys else 0,
        fetch=Fetch(config.bundles.url, config.bundles.every) if config.bundles else None,
        trust=Trust(config.trust.threshold, dict(config.trust.keys)) if config.trust else None,
    )


def _cards(box: Box) -> tuple[str, ...]:
    return tuple(interface.device for interface in box.interfaces.values())


def _sysctls(
    uplinks: tuple[Uplink, ...],
    leased: tuple[LeasedUplink, ...],
    dialled: tuple[PppSession, ...],
    shared: tuple[str, ...],
) -> dict[str, str]:
    """Forwarding; with several uplinks, that a route over one whose cable is out does not count (ip-sysctl); that a
    card below a lease or a session has no IPv6: a router would join groups there from its own hardware address; and
    how ARP is spoken on the `shared` cards, those of a pair."""
    found = dict(SYSCTLS)
    for card in shared:
        # A question with a virtual address as sender is dropped by whoever has that address, too (arp_process in
        # net/ipv4/arp.c): the other box, as long as it is master. The adverts that would tell it otherwise wait for
        # the answer, and both stay master.
        found[f"net/ipv4/conf/{card}/arp_announce"] = "2"
        # A card does not answer for what another card of the box has: a lent line is answered for from its own
        # hardware address, and the office hears nothing of the uplink's addresses.
        found[f"net/ipv4/conf/{card}/arp_ignore"] = "1"
    sessions = {each.device for each in dialled}
    for uplink in uplinks if len(uplinks) > 1 else ():
        # pppd's device comes and goes with the session, and its routes with it.
        if uplink.device in sessions:
            continue
        for family in ("ipv4", "ipv6"):
            # With slashes, since the name of a VLAN's device has a dot (sysctl.d(5)).
            found[f"net/{family}/conf/{uplink.device}/ignore_routes_with_linkdown"] = "1"
    for card in (*(each.parent for each in leased), *(each.parent for each in dialled)):
        found[f"net/ipv6/conf/{card}/disable_ipv6"] = "1"
    return found


def _links(box: Box, leased: tuple[LeasedUplink, ...], dialled: tuple[PppSession, ...]) -> tuple[DesiredLink, ...]:
    above = {each.name: each.device for each in leased} | {each.name: each.device for each in dialled}
    return tuple(
        DesiredLink(
            name,
            interface.device,
            tuple(str(address) for address in interface.address if not isinstance(address, str)),
            interface.mtu,
            network_path(name),
            above.get(name, ""),
        )
        for name, interface in box.interfaces.items()
    )


def _uplinks(config: Config, name: str) -> tuple[Uplink, ...]:
    """Uplinks get a table and a mark of their own where an answer could otherwise leave by another way."""
    marks = uplink_marks(config, name)
    interfaces = config.boxes[name].interfaces
    found: list[Uplink] = []
    for each, interface in interfaces.items():
        if not interface.is_uplink:
            continue
        addresses = [address for address in interface.address if not isinstance(address, str)]
        found.append(
            Uplink(
                name=each,
                device=interface.device,
                table=UPLINK_TABLE + len(found),
                mark=marks.get(each, 0),
                gateways=tuple(str(gateway) for gateway in interface.gateway),
                dynamic=any(isinstance(address, str) for address in interface.address),
                carries_ipv6="ra" in interface.address or any(address.version == 6 for address in addresses),
            )
        )
    return tuple(found)


def _tunnel(config: Config, name: str) -> Iterable[DesiredTunnel]:
    """The tunnel; and, while its key is replaced, the same with the key before."""
    tunnel = config.tunnels[name]
    found = DesiredTunnel(
        name=name,
        engine=tunnel.engine,
        addresses=tuple(str(address) for address in tunnel.addresses),
        peers=tuple(one for each, peer in tunnel.peers.items() for one in _peer(f"{name}.{each}", peer)),
        listen_port=tunnel.listen_port or 0,
        mtu=None if tunnel.mtu == "auto" else tunnel.mtu,
        mark=TUNNEL_MARK,
        key_number=tunnel.key,
        since=_begin(tunnel.since) if tunnel.since else None,
    )
    yield found
    before = tunnel.replaces
    if before:
        old = f"{name}{OLD}"
        yield replace(
            found,
            name=old,
            peers=tuple(one for each, peer in tunnel.peers.items() for one in _peer(f"{old}.{each}", peer)),
            listen_port=before.listen_port or 0,
            key_number=tunnel.key - 1,
            since=None,
            replaced_by=found.device,
            expires=_begin(before.until) + DAY_SECONDS,
        )


def _peer(name: str, peer: Peer) -> Iterable[DesiredPeer]:
    """The peer; and what it was before its keys were replaced."""
    before = peer.replaces
    found = DesiredPeer(
        name=name,
        public_key=peer.public_key,
        allowed_ips=peer.allowed_ips,
        preshared_key=peer.preshared_key.secret if peer.preshared_key else None,
        endpoint=str(peer.endpoint) if peer.endpoint else None,
        keepalive=peer.keepalive or 0,
        since=_begin(peer.since) if peer.since else None,
        expires=_begin(peer.expires) + DAY_SECONDS if peer.expires else None,
        replaces=before.public_key if before else "",
    )
    yield found
    if before:
        until = _begin(before.until) + DAY_SECONDS
        yield replace(
            found,
            name=f"{name}{OLD}",
            public_key=before.public_key,
            preshared_key=before.preshared_key.secret if before.preshared_key else None,
            expires=min(until, found.expires or until),
            replaces="",
            replaced_by=peer.public_key,
        )


def _begin(day: date) -> float:
    """When the day begins, in seconds since 1970."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _routes(config: Config) -> Iterable[Route]:
    """A route for each network behind a peer that the tunnel's own subnet does not cover, and what catches its fall.

    While the box's key is replaced two interfaces have that subnet, and every peer's addresses have their own routes.
    """
    covered: list[Prefix] = []
    for name, tunnel in config.tunnels.items():
        device = tunnel_device(name, tunnel.key)
        own = [prefix(address.network) for address in tunnel.addresses]
        covered += own
        for peer in tunnel.peers.values():
            for at, text in zip(peer.allowed, peer.allowed_ips, strict=True):
                if not at.length:
                    yield Route(text, device, TUNNEL_TABLE)
                    yield Route(text, "", TUNNEL_TABLE, metric=BLACKHOLE_METRIC)
                elif not any(subnet.holds(at) for subnet in own):
                    covered.append(at)
                    yield Route(text, device)
                elif tunnel.replaces:
                    yield Route(text, device)
    for at in collapsed(covered):
        yield Route(prefix_text(at), "", MAIN_TABLE, metric=BLACKHOLE_METRIC)


def _rules(tunnels: tuple[DesiredTunnel, ...], uplinks: tuple[Uplink, ...]) -> Iterable[Rule]:
    """Policy routing (ip-rule(8)); none at all where one uplink is all there is.

    First whatever the main table knows better than its default route; then answers by the uplink that was asked;
    then, for a full tunnel, everything that is not a tunnel's own packet.
    """
    full = {
        6 if ":" in text else 4
        for tunnel in tunnels
        for peer in tunnel.peers
        for text in peer.allowed_ips
        if text in DEFAULTS
    }
    marked = [uplink for uplink in uplinks if uplink.mark]
    for family in (4, 6):
        if family in full or marked:
            yield Rule(family, PRIORITY_MAIN, MAIN_TABLE, suppress_prefix_length=0)
        for uplink in marked:
            yield Rule(family, PRIORITY_MARK, uplink.table, mark=uplink.mark, mask=UPLINK_MARK_MASK)
        if family in full:
            yield Rule(family, PRIORITY_FULL_TUNNEL, TUNNEL_TABLE, mark=TUNNEL_MARK, mask=TUNNEL_MARK_MASK, invert=True)
