"""Whether the place at which peers are to find the tunnel leads to this box, as far as a box can tell by itself."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

from appliance.core.setup.render import NONE, endpoint
from appliance.core.setup.seen import Answers


def leads_here(answers: Answers, found: Collection[str], own: Collection[str]) -> str:
    """One sentence; "" where no place was named. `found` are the addresses of its name, `own` the uplink's."""
    if not (place := endpoint(answers)) or answers.get("tunnel") == NONE:
        return ""
    host, port = answers["reached_at"], answers["port"]
    there, here = ", ".join(found), next(iter(own), "")
    if not found:
        return f"{host} has no address yet: nobody outside finds this box by that name"
    if set(found) & set(own):
        return f"{place} leads to this box"
    if not here:
        return f"{host} is {there}; this box has no address outside yet"
    if any(ip_address(each).is_global for each in own):
        return f"{host} is {there}, but this box is {here}: another box, or an old address?"
    return f"{host} is {there}, and this box is {here}, behind a router: it must forward UDP port {port} to {here}"
