"""TCP segments as large as the path carries."""

from __future__ import annotations

from appliance.core.firewall.text import chain, comment
from appliance.core.firewall.zones import Site

_HOOK = "type filter hook forward priority mangle; policy accept;"


def mss_chains(site: Site) -> list[str]:
    """Lowers the maximum segment size that both ends announce in their SYNs, IPv4 and IPv6 alike.

    `rt mtu` is the smaller of the MTUs towards the destination and back towards the source, less the headers
    (net/netfilter/nft_rt.c, get_tcpmss), so one rule serves both directions; setting maxseg never raises it
    (net/netfilter/nft_exthdr.c, nft_exthdr_tcp_set_eval).
    """
    clamp = site.config.firewall.mss_clamp
    if clamp == "off":
        return []
    written = "mss_clamp" in site.config.firewall.model_fields_set
    source = comment(site.source("firewall", "mss_clamp") if written else "firewall.mss_clamp: auto, not written")
    syn = "tcp flags syn / syn,rst "
    if clamp == "auto":
        why = (
            "Segments no larger than the routes in both directions carry: `rt mtu` looks both up",
            "(nft_rt.c), and what the hosts announced is never raised (nft_exthdr.c).",
        )
        return [chain("mss", [f"{syn}tcp option maxseg size set rt mtu{source}"], _HOOK, why)]
    rule = f"{syn}tcp option maxseg size > {clamp} tcp option maxseg size set {clamp}{source}"
    return [chain("mss", [rule], _HOOK, ("Segments no larger than the file says, in both directions.",))]
