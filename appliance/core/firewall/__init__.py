"""The firewall of one box as the text of one nftables file, and the marks that it shares with routing."""

from appliance.core.firewall.marks import uplink_marks
from appliance.core.firewall.ruleset import TABLE, render, render_both

__all__ = ["TABLE", "render", "render_both", "uplink_marks"]
