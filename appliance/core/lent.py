"""Which leases a box has at this moment, as its system says. Pure, and without a parser: the supervisor asks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.core.state import DefaultRoute, Desired, Lease, LeasedUplink, Observed, ObservedLink

FOR_EVER = 0xFFFF_FFFF
"""Seconds that mean no end (RFC 2131 section 3.3, RFC 4861 section 4.6.2)."""


def leases(desired: Desired, observed: Observed) -> tuple[Lease, ...]:
    """What was lent to the uplinks of `desired`; none on a box whose leased uplinks are down."""
    found: list[Lease] = []
    above = {session.name: session.device for session in desired.sessions}
    for uplink in desired.leased:
        link = observed.links.get(uplink.device)
        if link is not None and link.up:
            found += addresses(uplink, link, observed.defaults)
            address = _ipv4(observed.links.get(above.get(uplink.name, "")))
            for each in observed.open_sessions:
                if each.device == uplink.device:
                    found.append(Lease(uplink.name, address, each.provider, FOR_EVER, each.number))
    return tuple(found)


def _ipv4(link: ObservedLink | None) -> str:
    """What hides connections behind a session."""
    return min((one for one in (link.addresses if link else ()) if _version(one) == 4), default="")


def superseded(link: ObservedLink) -> tuple[str, ...]:
    """Addresses taken over from the partner, beside which the network has lent another one by now."""
    confirmed = {_version(one) for one in link.addresses - link.provisional if not _is_link_local(one)}
    return tuple(sorted(one for one in link.provisional if _version(one) in confirmed))


def addresses(uplink: LeasedUplink, link: ObservedLink, ways: Iterable[DefaultRoute]) -> Iterator[Lease]:
    """What was lent to the uplink with the device `link`, each address with the best way on of its version."""
    gone = superseded(link)
    defaults = sorted((each for each in ways if each.device == uplink.device), key=lambda d: d.metric)
    for address in sorted(link.addresses):
        if _is_link_local(address) or address in gone:
            continue
        gateways = [each.gateway for each in defaults if _version(each.gateway) == _version(address)]
        yield Lease(uplink.name, address, gateways[0] if gateways else "", link.lifetimes.get(address, FOR_EVER))


def _version(text: str) -> int:
    return 6 if ":" in text else 4


def _is_link_local(address: str) -> bool:
    return address.startswith(("fe80:", "169.254."))
