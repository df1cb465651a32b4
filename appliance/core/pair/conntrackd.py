"""conntrackd.conf(5): every connection that passes a box is known to the other before it is needed."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.model import Config
from appliance.core.pair.addresses import (
    own_addresses,
    pair_addresses,
    pair_network,
    partner_of,
    virtual_addresses,
)
from appliance.core.pair.names import CONNTRACKD_CONTROL, PAIR_DEVICE, STATE_PORT

_BUFFER = 1_249_280
"""Socket buffers for a burst of a few thousand connections; the example in conntrackd.conf(5)."""


def conntrackd_conf(config: Config, box: str) -> str:
    """The whole file for one box of a pair; empty for a box that stands alone."""
    partner = partner_of(config, box)
    if partner is None:
        return ""
    own, other = pair_addresses(config, box)
    ignored = "".join(f"            {line}\n" for line in _ignored(config))
    return f"""\
# Connections of {config.site}, as {box} sends them to {partner}. Written by appliance from appliance.yaml; changes here
# are undone.

Sync {{
    # Reliable: what is lost on the way is asked for again.
    Mode FTFW {{
        ResendQueueSize 32768
        ACKWindowSize 300
        PurgeTimeout 60
        # The partner's connections wait here, and are put into the kernel when the role comes (conntrackd -c). With
        # the cache off the kernel's own table holds them, and a box that gets the role back has lost them.
        DisableExternalCache off
        StartupResync on
    }}
    # Inside the pair link: encrypted, and only the partner can send.
    UDP {{
        IPv6_address {own}
        IPv6_Destination_Address {other}
        Port {STATE_PORT}
        Interface {PAIR_DEVICE}
        SndSocketBuffer {_BUFFER}
        RcvSocketBuffer {_BUFFER}
        Checksum on
    }}
    Options {{
        # The new master has not seen the windows; it takes what comes (nf_conntrack_tcp_be_liberal).
        TCPWindowTracking off
        ExpectationSync on
    }}
}}

General {{
    Systemd on
    HashSize 8192
    HashLimit 131072
    LogFile off
    Syslog off
    LockFile /run/appliance/conntrackd.lock
    UNIX {{
        Path {CONNTRACKD_CONTROL}
    }}
    NetlinkBufferSize 2097152
    NetlinkBufferSizeMaxGrowth 8388608
    NetlinkOverrunResync on
    NetlinkEventsReliable off
    EventIterationLimit 100
    Filter From Userspace {{
        # VRRP and what else a box says for itself is none of these.
        Protocol Accept {{
            TCP
            UDP
            ICMP
            IPv6-ICMP
        }}
        # Connections that end at the box itself end with it, also those to an address that moves. What hides behind
        # such an address is not meant by this: compared are who asks and who answers (conntrackd's filter.c).
        Address Ignore {{
{ignored}        }}
    }}
}}
"""


def _ignored(config: Config) -> Iterator[str]:
    """Every address that a box has, as conntrackd.conf(5) advises, and the loopback's."""
    yield "IPv4_address 127.0.0.0/8"
    yield "IPv6_address ::1"
    yield f"IPv6_address {pair_network(config)}"
    own = [
        address
        for box in config.boxes.values()
        for interface in box.interfaces.values()
        for version in (4, 6)
        for address in own_addresses(interface, version)
    ]
    moving = [
        address
        for name in next(iter(config.boxes.values())).interfaces
        for version in (4, 6)
        for address in virtual_addresses(config, name, version)
    ]
    inside = [address for tunnel in config.tunnels.values() for address in tunnel.addresses]
    for address in dict.fromkeys(one.ip for one in (*own, *moving, *inside)):
        yield f"IPv{address.version}_address {address}"
