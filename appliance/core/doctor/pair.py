"""Two boxes that should be one."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.doctor.evidence import Evidence, Taken
from appliance.core.doctor.finding import Finding


def two_masters(evidence: Evidence) -> bool:
    """Both boxes have the addresses then, and whoever talks to them reaches now one and now the other."""
    seen = evidence.partner
    if seen is None or seen.role != "master":
        return False
    return (seen.alive and seen.partner_role == "master") or bool(_partners(evidence))


def pair(evidence: Evidence) -> Iterator[Finding]:
    """What the partner says, or that it says nothing."""
    seen = evidence.partner
    if seen is None:
        return
    if two_masters(evidence):
        said = f"{seen.partner} says over the pair link that it is master, and so is this box"
        shown = [
            f"{seen.partner} ({each.mac}) answers on {each.device} for {each.address}" for each in _partners(evidence)
        ]
        yield Finding(
            "two-masters",
            seen.partner,
            f"Both boxes are master: {seen.partner} does not hear this box's VRRP adverts, or this one not those of "
            f"{seen.partner}.",
            tuple(shown) or (said,),
            "see that the networks with virtual addresses and the pair link join both boxes, and that no switch there "
            "filters multicast or IP protocol 112; `appliance status` names others with the same virtual_router_id",
        )
    elif not seen.alive:
        yield Finding(
            "partner-silent",
            seen.partner,
            f"{seen.partner} is not heard, so nobody stands in for this box.",
            (f"last heard {seen.heard_ago:.0f} s ago; it was {seen.partner_role}",),
            f"see whether {seen.partner} has power, and whether the cable of failover.pair_link is in on both boxes",
        )
    elif not seen.in_step:
        who = f"{seen.ahead} has the newer one" if seen.ahead else "they were changed apart from each other"
        yield Finding(
            "out-of-step",
            seen.partner,
            f"This box and {seen.partner} run different configurations: {who}.",
            (f"{seen.partner} is heard, and says another generation",),
            "wait a minute where one is ahead, the other fetches it; otherwise `appliance apply` on one of them",
        )


def _partners(evidence: Evidence) -> list[Taken]:
    """This box's addresses that the other box answers for."""
    cards = {each.mac for each in evidence.beside}
    return [taken for taken in evidence.taken if taken.mac in cards]
