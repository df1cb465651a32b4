"""Who on this box may speak to the partner: root, and nobody else.

The partner's supervisor believes what comes out of the pair link, and answers with the whole configuration and its
keys. So a program without rights of its own, which an attacker may have got hold of, must not send anything into it.
"""

from __future__ import annotations

from appliance.core.firewall.text import chain, comment
from appliance.core.firewall.zones import Site
from appliance.core.pair.names import PAIR_DEVICE


def partner_chains(site: Site) -> list[str]:
    """The one chain for packets that the box itself sends; none on a box without a partner.

    `skuid` is that of the socket (nft(8), META EXPRESSIONS); the kernel's own packets have none, and pass.
    """
    if not site.config.failover:
        return []
    why = comment("only the supervisor and conntrackd speak to the partner")
    rule = f'oifname "{PAIR_DEVICE}" meta skuid != 0 drop{why}'
    return [chain("to_partner", [rule], "type filter hook output priority filter; policy accept;")]
