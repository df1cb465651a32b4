"""Services that a rule may name, with their ports as IANA registers them."""

from __future__ import annotations

from appliance.core.values import Ports


def _ports(*texts: str) -> tuple[Ports, ...]:
    found = []
    for text in texts:
        protocol, _, port = text.partition("/")
        found.append(Ports(protocol, int(port), int(port)))
    return tuple(found)


PING = "ping"
"""The one service that has no port: ICMP and ICMPv6 echo."""

SERVICES: dict[str, tuple[Ports, ...]] = {
    "dns": _ports("tcp/53", "udp/53"),
    "ftp": _ports("tcp/21"),
    "http": _ports("tcp/80"),
    "https": _ports("tcp/443", "udp/443"),
    "imap": _ports("tcp/143"),
    "imaps": _ports("tcp/993"),
    "ipp": _ports("tcp/631"),
    "kerberos": _ports("tcp/88", "udp/88"),
    "ldap": _ports("tcp/389"),
    "ldaps": _ports("tcp/636"),
    "mqtt": _ports("tcp/1883"),
    "ntp": _ports("udp/123"),
    PING: (),
    "postgresql": _ports("tcp/5432"),
    "rdp": _ports("tcp/3389", "udp/3389"),
    "sip": _ports("tcp/5060", "udp/5060"),
    "smb": _ports("tcp/445"),
    "smtp": _ports("tcp/25"),
    "snmp": _ports("udp/161"),
    "ssh": _ports("tcp/22"),
    "submission": _ports("tcp/587", "tcp/465"),
    "syslog": _ports("udp/514"),
    "vnc": _ports("tcp/5900"),
}
