"""The way to the internet, from the cable upwards: each uplink's first trouble, then names, then the clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.core import pppoe_words
from appliance.core.doctor.evidence import NO_ANSWER, NO_SUCH_NAME, Evidence, SessionSeen, UplinkSeen
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.firewall import Rules

CLOCK_SECONDS = 5.0
"""Certificates and logs bear that much; a handshake's timestamp only has to rise."""


def uplinks(evidence: Evidence, rules: Rules | None) -> Iterator[Finding]:
    """Of each uplink the first thing that is wrong, from the card upwards."""
    for uplink in evidence.uplinks:
        if not uplink.elsewhere and (found := _uplink(uplink, rules)):
            yield found


def dead(evidence: Evidence, found: Sequence[Finding]) -> bool:
    """No uplink is left that leads anywhere from this box."""
    leading = {each.name for each in evidence.uplinks if not each.elsewhere}
    return bool(evidence.uplinks) and {each.about for each in found} >= leading


def _uplink(uplink: UplinkSeen, rules: Rules | None) -> Finding | None:
    name, device = uplink.name, uplink.session.card if uplink.session else uplink.device
    if not uplink.present:
        return Finding(
            "no-device",
            name,
            f"The device {device} of uplink {name} is not there.",
            (f"the kernel knows no {device}",),
            "plug the adapter in again, or write the device that it is called now into appliance.yaml",
        )
    if not uplink.carrier:
        return Finding(
            "cable",
            name,
            f"The cable of uplink {name} is out, or what is at its other end is off.",
            (f"{device} has no carrier",),
            f"plug in the cable of {device}, or switch on the modem; try another cable and port",
        )
    if uplink.session:
        return None if uplink.addresses else _session(name, uplink.device, uplink.session)
    addresses = [each for each in uplink.addresses if not each.startswith("fe80:")]
    if not addresses:
        dhcp = rules is None or rules.leased(name)
        return Finding(
            "no-lease",
            name,
            f"Nobody gives uplink {name} an address: the cable is in, but no DHCP server or router answers."
            if dhcp
            else f"Uplink {name} has not got the address that the file gives it.",
            (f"{device} has a carrier and no address",),
            "restart the modem; a provider that knows another hardware address must be told the new one; "
            f"see `journalctl -u systemd-networkd` and `networkctl status {device}`",
        )
    if not uplink.gateways:
        return Finding(
            "no-gateway",
            name,
            f"Uplink {name} has an address but knows no gateway.",
            (f"{device} has {', '.join(addresses)} and no default route",),
            f"write `gateway:` at {name} in appliance.yaml, or see why the provider hands out none",
        )
    if not uplink.answering:
        gateways = " and ".join(uplink.gateways)
        return Finding(
            "gateway-silent",
            name,
            f"The gateway {gateways} of uplink {name} does not answer, although the cable is in.",
            (f"asked on {device} by ARP or ND who has {gateways}: no answer",),
            "restart the modem or router there; if it was replaced, write its address as `gateway:`",
        )
    return None


def _session(name: str, device: str, session: SessionSeen) -> Finding:
    """A session has no gateway to ask: pppd asks its other end by itself, and hangs up when that falls silent."""
    said = pppoe_words.trouble(session.ended) or "nothing is known"
    evidence = f"pppd's last attempt ended with status {session.ended}: {said}"
    remedy = f"see `journalctl -u appliance-pppoe@{device}`"
    if not session.dials:
        return Finding(
            "no-session",
            name,
            f"Uplink {name} does not dial, since its PPPoE password is not on this box.",
            (f"nothing runs that would make {device}",),
            "write the password to the file that `appliance status` names",
        )
    if session.ended == pppoe_words.REFUSED:
        return Finding(
            "login-refused",
            name,
            f"The provider of uplink {name} refuses the user name or the password.",
            (evidence,),
            f"compare `pppoe:` of {name} in appliance.yaml and the secret that it names with the provider's letter; "
            "after many failures a provider may shut the account for a while",
        )
    if session.ended == pppoe_words.NO_ANSWER:
        return Finding(
            "no-session",
            name,
            f"Nobody answers PPPoE on the cable of uplink {name}, although the cable is in.",
            (f"asked on {session.card} for a PPPoE server: no answer",),
            "switch the modem on, and set it to bridge (a router dials itself); some lines need a VLAN below: "
            f"device: {session.card}.7; {remedy}",
        )
    return Finding("no-session", name, f"The PPPoE session of uplink {name} does not stand.", (evidence,), remedy)


def names(evidence: Evidence) -> Iterator[Finding]:
    """Whether names can be looked up at all, and which of those in the file do not exist."""
    servers = evidence.name_servers
    addresses = ", ".join(server.address for server in servers)
    silent = bool(servers) and not any(server.answers for server in servers)
    unanswered = [each for each in evidence.lookups if each.trouble == NO_ANSWER]
    if silent or (not servers and unanswered):
        who = f"None of the name servers answers ({addresses})" if servers else "The box knows no name server"
        yield Finding(
            "dns-silent",
            "",
            f"{who}, so no name can be looked up here or in the office.",
            (f"asked {addresses} for the root's name servers over UDP: no answer",)
            if servers
            else (f"{unanswered[0].name} could not be looked up",),
            "write name servers that answer, `dns: [9.9.9.9, 1.1.1.1]`, or see that UDP port 53 leaves the site",
        )
        return
    for lookup in evidence.lookups:
        if lookup.trouble == NO_SUCH_NAME:
            users = [peer.name for peer in evidence.peers if peer.host == lookup.name]
            yield Finding(
                "no-such-name",
                lookup.name,
                f"The name {lookup.name} does not exist, so {', '.join(users) or 'its peer'} cannot be called by it.",
                ("a name server answered, and said that there is no such name or no address with it",),
                f"correct `endpoint:` of {', '.join(users) or 'the peer'}, or have the name made",
            )


def clock(evidence: Evidence) -> Iterator[Finding]:
    """Only what a time server says; a clock that nobody could be asked about is not called wrong."""
    found = evidence.clock
    if found.offset is None or abs(found.offset) <= CLOCK_SECONDS:
        return
    way = "ahead" if found.offset > 0 else "behind"
    kept = "chrony keeps it" if found.synchronised else "nothing keeps it right at this moment"
    yield Finding(
        "clock-wrong",
        "",
        f"The clock is {abs(found.offset):.0f} s {way}: peers refuse handshakes that seem to come from the past, and "
        "certificates may count as not valid.",
        (f"{found.server} was asked for the time; {kept}",),
        "see `chronyc sources`; to set it at once: sudo chronyc makestep",
    )
