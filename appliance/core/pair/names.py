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
HELD = 104
"""A ready master of a pair whose file prefers neither box: no standby takes the role from it, whichever comes first."""
UNHEARD = 70
"""A standby that is ready as far as it can know: its partner's supervisor fell silent. Takes the role from a master
that nobody looks after, and from none that is well."""
UNATTENDED = 50
"""A master whose supervisor does not come back (/usr/lib/appliance/unattended): gives the role to a standby that is
ready, or would be but for the master's word, and to no other."""
NOT_READY = 0
"""Gives the role to any partner that is ready. A planned handover too: the master serves until it hears the new one."""
UNFIT = -20
"""A box without a supervisor whose tunnels are muted, or whose peers went to the other one: gives the role to any box
that has one, as long as that has its links. Alone, it is a router all the same."""
NEVER = -300
"""FAULT (below -253, keepalived.conf(5)): the addresses go at once, and the partner need not wait for three adverts.
For a master that lost a link, knows that its partner has all, and must go now; and for a box that cannot hear whether
the other one is master (core/takeover/links.py)."""
