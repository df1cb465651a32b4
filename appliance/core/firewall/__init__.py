"""The firewall of one box as the text of one nftables file, and the marks that it shares with routing."""

from appliance.core.firewall.marks import (
    TUNNEL_MARK_MASK,
    UPLINK_MARK_MASK,
    tunnel_mark,
    uplink_marks,
)
from appliance.core.firewall.ruleset import TABLE, render, render_both

__all__ = ["TABLE", "TUNNEL_MARK_MASK", "UPLINK_MARK_MASK", "render", "render_both", "tunnel_mark", "uplink_marks"]
