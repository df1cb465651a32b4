"""The part of a plan that is about leased uplinks: their devices, and the way on for the tunnels' own packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_interface

from appliance.core.lent import addresses, superseded
from appliance.core.pair.names import VIRTUAL_TABLE
from appliance.core.state import ON_LINK, DefaultRoute, LeasedUplink, Observed, ObservedLink, PppSession, Route
from appliance.core.steps import AddLeaseLink, AddLentDefault, DeleteAddress, DeleteLink, SetLink, Step

Links = Mapping[str, ObservedLink]
Change = tuple[Step, ...]
"""A step, and then those that take it back."""


def removal(link: ObservedLink, leased: Iterable[LeasedUplink]) -> Change | None:
    """Away with a device of ours that is not wanted, or has another card below it, or another hardware address."""
    if any((each.device, each.parent, each.mac) == (link.device, link.parent, link.mac) for each in leased):
        return None
    back = AddLeaseLink(link.device, link.parent, link.mac, link.alias)
    return DeleteLink(link.device), back, SetLink(link.device, link.mtu, link.up)


def changes(leased: Iterable[LeasedUplink], links: Links, observed: Observed, muted: bool) -> Iterator[Change]:
    """The devices up on the master alone, with the way on that came with the lease, and without the addresses that the
    network has replaced."""
    for uplink in leased:
        link = links.get(uplink.device)
        up = link is not None and link.up
        if link is None:
            # Whoever applies is told of a card that is missing; when it comes, an event says so.
            if uplink.parent not in links:
                continue
            yield AddLeaseLink(uplink.device, uplink.parent, uplink.mac, uplink.alias), DeleteLink(uplink.device)
        if up == muted:
            yield SetLink(uplink.device, up=not up), SetLink(uplink.device, up=up)
        for address in superseded(link) if link else ():
            yield (DeleteAddress(uplink.device, address),)
        if link is not None and up and not muted:
            yield from _way_on(uplink, link, observed)


def _way_on(uplink: LeasedUplink, link: ObservedLink, observed: Observed) -> Iterator[Change]:
    """networkd 257 keeps a lease without its routes when it fails to set them (the device went down at that moment)
    and configures the device anew: it did not ask for them again."""
    gateway = observed.lent_gateways.get(uplink.device)
    if gateway is None:
        return
    for lease in addresses(uplink, link, observed.defaults):
        if not lease.gateway and ip_address(gateway) in ip_interface(lease.address).network:
            yield (AddLentDefault(uplink.device, gateway, lease.address, uplink.metric),)
            return


def ways(
    leased: Iterable[LeasedUplink], sessions: Iterable[PppSession], defaults: Iterable[DefaultRoute]
) -> frozenset[Route]:
    """Where the tunnels' own packets look first. keepalived fills that table, and knows nothing of leases."""
    above = {session.parent: session.device for session in sessions}
    metrics = {above.get(uplink.device, uplink.device): uplink.metric for uplink in leased}
    return frozenset(
        Route(
            "::/0" if ":" in default.gateway else "0.0.0.0/0",
            default.device,
            VIRTUAL_TABLE,
            None if default.gateway in ON_LINK else default.gateway,
            metrics[default.device],
        )
        for default in defaults
        if default.device in metrics
    )
