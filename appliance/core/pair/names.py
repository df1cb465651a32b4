"""The pair's files, ports and numbers, for those who have no configuration model in memory."""

from __future__ import annotations

KEEPALIVED_FILE = "/run/appliance/keepalived.conf"
NOTIFY_FIFO = "/run/appliance/vrrp.fifo"
READY_FILE = "/run/appliance/vrrp-ready"
CONNTRACKD_FILE = "/run/appliance/conntrackd.conf"
CONNTRACKD_CONTROL = "/run/appliance/conntrackd.ctl"

PAIR_NAME = "pair"
"""The pair link's name; no tunnel may have it, since its device would be the same."""
PAIR_DEVICE = f"wg-{PAIR_NAME}"
PAIR_PORT = 51819
"""UDP port of the pair link's WireGuard, on the network that failover.pair_link names."""
PROTOCOL_PORT = 51818
"""UDP port on which the supervisors talk, inside the pair link."""
STATE_PORT = 3780
"""UDP port on which conntrackd sends connections, inside the pair link."""

GROUP = "pair"
"""The sync group of all instances, if there are several: a box is master on all of its networks or on none."""

LEASED_MAP = "leased_ipv4"
"""The map in our nft table from a leased uplink's device to the address that it has, or will have as master."""

VIRTUAL_TABLE = 50
"""keepalived fills it on the master: the networks of the virtual addresses, and the default routes."""

# What is written into READY_FILE. keepalived adds the number to the priority in its own file, for all instances at once
# (keepalived.conf(5), Track files), and a file that is missing counts as 0. So a box whose supervisor never said a word
# is not ready; and a box that is not ready still serves when there is no other, since its priority is low and not
# FAULT: in FAULT a box never has the virtual addresses, whether the partner lives or not.

READY = 100
"""Takes the role from a partner with less: 254 on the preferred box, 250 on the other."""
NOT_READY = 0
"""Gives the role to any partner that is ready. A planned handover too: the master serves until it hears the new one."""
NEVER = -300
"""FAULT (below -253, keepalived.conf(5)): the addresses go at once, and the partner need not wait for three adverts.
For a master that lost a link, knows that its partner has all, and must go now (core/takeover/links.py)."""
