"""The part of a plan that is about leased uplinks: their devices, and the way on for the tunnels' own packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from appliance.core.lent import superseded
from appliance.core.pair.names import VIRTUAL_TABLE
from appliance.core.state import ON_LINK, DefaultRoute, LeasedUplink, ObservedLink, PppSession, Route
from appliance.core.steps import AddLeaseLink, DeleteAddress, DeleteLink, ReloadNetworkd, SetLink, Step

Links = Mapping[str, ObservedLink]
Change = tuple[Step, ...]
"""A step, and then those that take it back."""


def removal(link: ObservedLink, leased: Iterable[LeasedUplink]) -> Change | None:
    """Away with a device of ours that is not wanted, or has another card below it, or another hardware address."""
    if any((each.device, each.parent, each.mac) == (link.device, link.parent, link.mac) for each in leased):
        return None
    back = AddLeaseLink(link.device, link.parent, link.mac, link.alias)
    return DeleteLink(link.device), back, SetLink(link.device, link.mtu, link.up)


def changes(leased: Iterable[LeasedUplink], links: Links, muted: bool) -> Iterator[Change]:
    """The devices up on the master alone, and there without the addresses that the network has replaced."""
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
        if link is not None and not up and not muted:
            # Somebody had it down: its routes went, and networkd's client is content with its lease.
            yield (ReloadNetworkd((uplink.device,)),)
        for address in superseded(link) if link else ():
            yield (DeleteAddress(uplink.device, address),)


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
