"""The pair link as one more tunnel, once the boxes know each other's keys; for the supervisor, which has no parsers."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.pair.names import PAIR_DEVICE, PAIR_NAME, PAIR_PORT
from appliance.core.state import AUTO, Desired, DesiredPeer, DesiredTunnel

PARTNER_KEY = "pair-partner"
"""The name under which a box keeps its partner's public key of the pair link, PARTNER_KEY.pub."""
PAIR_MTU = 1420
PAIR_KEEPALIVE = 5


def enrolled(desired: Desired, keys: dict[str, str]) -> bool:
    """Whether the box has its own key of the pair link, and its partner's."""
    return desired.pair is not None and PAIR_DEVICE in keys and PARTNER_KEY in keys


def with_pair_link(desired: Desired, keys: dict[str, str]) -> Desired:
    """The same with the pair link as one more tunnel, which does not move. Where the boxes are strangers there is none,
    each has a hardware address of its own for what is lent to it, and its tunnels speak from any address it has."""
    pair = desired.pair
    if pair is None or not enrolled(desired, keys):
        rules = tuple(each for each in desired.rules if pair is None or each not in pair.silence)
        return replace(desired, leased=tuple(replace(each, mac=each.mac_alone) for each in desired.leased), rules=rules)
    partner = DesiredPeer(
        name=f"{PAIR_NAME}.{pair.partner}",
        public_key=keys[PARTNER_KEY],
        allowed_ips=(f"{pair.partner_address}/128",),
        endpoint=pair.partner_endpoint,
        keepalive=PAIR_KEEPALIVE,
    )
    link = DesiredTunnel(PAIR_NAME, AUTO, (f"{pair.own}/64",), (partner,), PAIR_PORT, PAIR_MTU, 0, moves=False)
    return replace(
        desired,
        tunnels=(*(each for each in desired.tunnels if each.name != PAIR_NAME), link),
        leased=tuple(replace(each, mac=each.mac_pair) for each in desired.leased),
        rules=tuple(dict.fromkeys((*desired.rules, *pair.silence))),
    )
