"""What the doctor makes of what it saw: a table, one line of evidence beside another, and the causes that it names.

A case begins with a box where all is well and says what is different there.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest

from appliance.core.check import check
from appliance.core.doctor.diagnose import diagnose
from appliance.core.doctor.evidence import (
    NO_ANSWER,
    NO_SUCH_NAME,
    Caller,
    Clock,
    Disk,
    Evidence,
    Lookup,
    NameServer,
    Overlap,
    Partner,
    PathSize,
    PeerSeen,
    SessionSeen,
    Taken,
    TunnelSeen,
    UplinkSeen,
)
from appliance.core.doctor.firewall import Rules
from appliance.core.doctor.power import Power
from appliance.core.doctor.wire import PORT, PROHIBITED, Flow, Handshake, Overheard, Segments, Unreachable
from appliance.core.firewall.zones import Site
from tests.unit.config.examples import key

FILE = f"""\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {{device: eth0, address: dhcp}}
      lan: {{device: eth1, address: 192.168.10.1/24}}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    peers:
      geneva: {{public_key: {key(1)}, endpoint: "geneva.example.net:51820", address: 10.20.0.2}}
firewall:
  allow:
    - {{from: lan, to: wan}}
    - {{from: lan, to: office.geneva, services: [ping]}}
    - {{from: office.geneva, to: wan}}
"""
HERE, GENEVA = "203.0.113.2:51820", "198.51.100.2:51820"
WAN = UplinkSeen(
    "wan", "eth0", addresses=("203.0.113.2/24",), gateways=("203.0.113.1",), answering=("203.0.113.1",), mtu=1500
)
DIALLED = UplinkSeen(
    "wan", "ppp-wan", addresses=("100.64.0.10/32",), answering=("100.64.0.10/32",), session=SessionSeen("eth0")
)
PEER = PeerSeen(
    tunnel="office",
    name="office.geneva",
    public_key=key(1),
    endpoint=GENEVA,
    endpoint_wanted="geneva.example.net:51820",
    handshake_age=20.0,
    keepalive=25,
    allowed_ips=("10.20.0.2/32",),
    called=True,
    received=320,
    pings=True,
    echoes=True,
)
SILENT = replace(PEER, received=0, echoes=False)
NEVER_SEEN = PeerSeen(tunnel="office", name="office.alice", public_key=key(2), allowed_ips=("10.20.0.10/32",))
STRANGE = replace(SILENT, handshake_age=None)
OFFICE = TunnelSeen("office", "wg-office", key(0), 51820, "userspace", "auto", received=320, mtu=1420)
WELL = Evidence(
    box="zurich",
    uplinks=(WAN,),
    name_servers=(NameServer("203.0.113.1", True),),
    lookups=(Lookup("geneva.example.net", ("198.51.100.2",)),),
    tunnels=(OFFICE,),
    peers=(PEER,),
    disks=(Disk("/data", 1 << 30, 4 << 30),),
    inside=("eth1", "wg-office"),
)
PAIR = Partner("master", "bravo", "backup", True, 0.1, True)
CALL = Handshake(True, True, HERE, GENEVA)
"""This box calls."""
MAC1_KEY = hashlib.blake2s(b"mac1----" + b64decode(key(0))).digest()
MAC1 = hashlib.blake2s(b"", key=MAC1_KEY, digest_size=16).digest()
CALLED = Handshake(False, True, HERE, GENEVA, b"", MAC1)
"""This box is called, by its right key."""
ANSWER = Handshake(True, False, HERE, GENEVA)
NOMAD = "192.0.2.2:40000"
AGAIN = Handshake(False, True, HERE, NOMAD, b"again", hashlib.blake2s(b"again", key=MAC1_KEY, digest_size=16).digest())
BEHIND_NAT = replace(WAN, addresses=("192.168.178.2/24",))


def heard(*handshakes: Handshake, **others: Any) -> Overheard:
    return Overheard(handshakes, **others)


def hung_up(status: int) -> UplinkSeen:
    """pppd's last attempt ended so."""
    return replace(DIALLED, addresses=(), answering=(), session=SessionSeen("eth0", ended=status))


def everything(**different: Any) -> dict[str, Any]:
    """All that follows from a dead uplink, and what is different."""
    after = {
        "name_servers": (NameServer("203.0.113.1", False),),
        "lookups": (Lookup("geneva.example.net", (), NO_ANSWER),),
        "clock": Clock(False),
        "peers": (STRANGE,),
        "sentences": ("no answer for geneva.example.net",),
    }
    return after | different


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "all is well": ({}, []),
    "no supervisor; nothing else could be asked": (
        {"supervisor": "appliance.service is failed (result: exit-code)", "box": ""},
        ["supervisor"],
    ),
    "no configuration": ({"box": "", "uplinks": ()}, ["no-configuration"]),
    "the cable is out, and all that follows from it": (
        everything(uplinks=(replace(WAN, carrier=False, gateways=(), answering=()),)),
        ["cable"],
    ),
    "the adapter was drawn": (everything(uplinks=(replace(WAN, present=False, carrier=False),)), ["no-device"]),
    "no DHCP answer": (
        everything(uplinks=(replace(WAN, addresses=("fe80::1/64",), gateways=(), answering=()),)),
        ["no-lease"],
    ),
    "the only address is the other box's, and so is all that needs it": (
        {
            "uplinks": (replace(WAN, addresses=(), gateways=(), answering=(), elsewhere=True),),
            "name_servers": (NameServer("203.0.113.1", False),),
            "lookups": (Lookup("geneva.example.net", (), NO_ANSWER),),
        },
        [],
    ),
    "the session is the other box's": (
        {"uplinks": (replace(DIALLED, addresses=(), answering=(), elsewhere=True),)},
        [],
    ),
    "a session that stands": ({"uplinks": (DIALLED,)}, []),
    "the PPPoE password is wrong": (everything(uplinks=(hung_up(19),)), ["login-refused"]),
    "nobody answers PPPoE": (everything(uplinks=(hung_up(8),)), ["no-session"]),
    "a session that ends at once": (everything(uplinks=(hung_up(10),)), ["no-session"]),
    "no gateway": (everything(uplinks=(replace(WAN, gateways=(), answering=()),)), ["no-gateway"]),
    "the gateway is silent": (everything(uplinks=(replace(WAN, answering=()),)), ["gateway-silent"]),
    "one of two uplinks is dead, and the other one's name server too": (
        everything(uplinks=(WAN, replace(WAN, name="lte", carrier=False))),
        ["cable", "dns-silent"],
    ),
    "the resolver does not answer": (
        {
            "name_servers": (NameServer("203.0.113.1", False),),
            "lookups": (Lookup("geneva.example.net", (), NO_ANSWER),),
        },
        ["dns-silent"],
    ),
    "one of two resolvers answers": (
        {"name_servers": (NameServer("203.0.113.1", False), NameServer("9.9.9.9", True))},
        [],
    ),
    "no name server is known": (
        {"name_servers": (), "lookups": (Lookup("geneva.example.net", (), NO_ANSWER),)},
        ["dns-silent"],
    ),
    "the name does not exist": (
        {"lookups": (Lookup("geneva.example.net", (), NO_SUCH_NAME),), "peers": (replace(STRANGE, endpoint=""),)},
        ["no-such-name"],
    ),
    "the clock is an hour ahead": ({"clock": Clock(False, "pool (192.0.2.1)", 3600.0)}, ["clock-wrong"]),
    "the clock is not kept, and right": ({"clock": Clock(False, "pool (192.0.2.1)", 0.2)}, []),
    "the peer does not answer; it never did": (
        {"peers": (STRANGE,), "overheard": heard(CALL)},
        ["unanswered"],
    ),
    "the peer does not answer any more": ({"peers": (SILENT,)}, ["unanswered"]),
    "only initiations come in: no data": ({"peers": (replace(STRANGE, received=296),)}, ["unanswered"]),
    "nobody called the peer": ({"peers": (replace(STRANGE, called=False),)}, []),
    "a colleague's laptop is asleep": ({"peers": (replace(SILENT, endpoint_wanted=""),)}, []),
    "a colleague's laptop is away, and its router says so": (
        {
            "peers": (replace(SILENT, endpoint_wanted=""),),
            "overheard": heard(unreachable=(Unreachable("198.51.100.2", PORT, GENEVA),)),
        },
        [],
    ),
    "a stranger calls from where a colleague was": (
        {
            "peers": (replace(SILENT, endpoint_wanted="", endpoint=NOMAD),),
            "overheard": heard(CALLED._replace(there=NOMAD)),
        },
        ["unknown-peer"],
    ),
    "the host says that nobody listens": (
        {"peers": (STRANGE,), "overheard": heard(CALL, unreachable=(Unreachable("198.51.100.2", PORT, GENEVA),))},
        ["no-listener"],
    ),
    "a firewall on the way says that it drops": (
        {"peers": (STRANGE,), "overheard": heard(CALL, unreachable=(Unreachable("192.0.2.9", PROHIBITED, GENEVA),))},
        ["turned-away"],
    ),
    "an answer that our side cannot open": (
        {"peers": (STRANGE,), "overheard": heard(CALL, Handshake(False, False, HERE, GENEVA))},
        ["preshared-key"],
    ),
    "a call for another key than ours": (
        {"peers": (STRANGE,), "overheard": heard(CALL, Handshake(False, True, HERE, GENEVA, b"", b"wrong"))},
        ["box-key"],
    ),
    "a call by our key from the peer's address, and nobody knows with which": (
        {"peers": (STRANGE,), "overheard": heard(CALL, CALLED)},
        ["peer-key"],
    ),
    "a call with the peer's own key that is not answered": (
        {
            "peers": (STRANGE,),
            "overheard": heard(CALL, CALLED),
            "callers": (Caller(GENEVA, "office", key(1), ahead=-86400.0),),
        },
        ["peer-clock"],
    ),
    "a call with another key": (
        {"peers": (STRANGE,), "overheard": heard(CALL, CALLED), "callers": (Caller(GENEVA, "office", key(7)),)},
        ["peer-key"],
    ),
    "a stranger calls": ({"overheard": heard(CALLED._replace(there=NOMAD))}, ["unknown-peer"]),
    "a stranger calls by a key that is not ours": (
        {"overheard": heard(CALLED._replace(there=NOMAD, mac1=b"other"))},
        ["box-key"],
    ),
    "a stranger calls a port that is no tunnel's": (
        {"overheard": heard(CALLED._replace(there=NOMAD, here="203.0.113.2:51999"))},
        [],
    ),
    "a session is renewed": ({"overheard": heard(CALLED, ANSWER)}, []),
    "somebody calls, is answered, and calls again": (
        {"overheard": heard(CALLED._replace(there=NOMAD), ANSWER._replace(there=NOMAD), AGAIN)},
        ["preshared-key"],
    ),
    "the peer answers pings through the tunnel, and an old ICMP error was heard": (
        {"overheard": heard(unreachable=(Unreachable("192.0.2.9", PROHIBITED, GENEVA),))},
        [],
    ),
    "the name says another address than the one that is called": (
        {"peers": (SILENT,), "lookups": (Lookup("geneva.example.net", ("198.51.100.77",)),)},
        ["endpoint-moved"],
    ),
    "behind NAT without keepalive, and there was no session until now": (
        {"uplinks": (BEHIND_NAT,), "peers": (replace(PEER, keepalive=0, idle=True),)},
        ["keepalive"],
    ),
    "behind NAT without keepalive, and there was a session": (
        {"uplinks": (BEHIND_NAT,), "peers": (replace(PEER, keepalive=0),)},
        [],
    ),
    "behind NAT without keepalive, and silent: it may call through any NAT": (
        {"uplinks": (BEHIND_NAT,), "peers": (replace(SILENT, keepalive=0, idle=True),)},
        ["unanswered"],
    ),
    "no keepalive, and no NAT": ({"peers": (replace(PEER, keepalive=0, idle=True),)}, []),
    "behind NAT, and nobody who should call ever has": (
        {"uplinks": (BEHIND_NAT,), "peers": (PEER, NEVER_SEEN)},
        ["not-forwarded"],
    ),
    "behind NAT, and one who should call has": (
        {"uplinks": (BEHIND_NAT,), "peers": (NEVER_SEEN, replace(NEVER_SEEN, name="office.bob", endpoint=NOMAD))},
        [],
    ),
    "nobody has called yet, and no NAT": ({"peers": (PEER, NEVER_SEEN)}, []),
    "a lease brings the office's own network": (
        {"uplinks": (replace(WAN, addresses=("192.168.10.77/24",), gateways=("192.168.10.254",)),)},
        ["overlapping-networks"],
    ),
    "the uplink stands in a large network of which a part is behind a peer": (
        {"uplinks": (replace(WAN, addresses=("10.0.0.7/8",), gateways=("10.0.0.1",)),), "peers": (PEER,)},
        [],
    ),
    "a colleague's device stands in a network as the office's": (
        {"overlaps": (Overlap("office.alice", "192.168.10.0/24"),)},
        ["overlapping-networks"],
    ),
    "segments that the tunnel does not carry": (
        {"overheard": heard(segments=(Segments("wg-office", "192.168.10.20", "192.168.20.20", 1460),))},
        ["mss"],
    ),
    "segments that the tunnel just carries": (
        {"overheard": heard(segments=(Segments("wg-office", "192.168.10.20", "192.168.20.20", 1380),))},
        [],
    ),
    "large segments on the office's own network": (
        {"overheard": heard(segments=(Segments("eth1", "192.168.10.20", "192.168.10.30", 8960),))},
        [],
    ),
    "inside addresses leave by the uplink": (
        {"overheard": heard(unanswered=(Flow("eth0", "192.168.10.20", "192.0.2.7", "tcp/443"),))},
        ["source-address"],
    ),
    "the uplink's own address is not answered": (
        {"overheard": heard(unanswered=(Flow("eth0", "203.0.113.2", "192.0.2.7", "tcp/443"),))},
        [],
    ),
    "a host answers this box only": (
        {
            "overheard": heard(unanswered=(Flow("eth1", "10.20.0.2", "192.168.10.20", "tcp/445"),)),
            "hosts": (("192.168.10.20", True),),
        },
        ["return-path"],
    ),
    "a host is off": (
        {
            "overheard": heard(unanswered=(Flow("eth1", "10.20.0.2", "192.168.10.20", "tcp/445"),)),
            "hosts": (("192.168.10.20", False),),
        },
        [],
    ),
    "names are asked beside a full tunnel": (
        {
            "peers": (replace(PEER, allowed_ips=("0.0.0.0/0", "::/0")),),
            "overheard": heard(passed=(Flow("eth0", "203.0.113.2", "203.0.113.1", "udp/53"),)),
        },
        ["dns-leak"],
    ),
    "names are asked, and nothing says that all goes through a tunnel": (
        {"overheard": heard(passed=(Flow("eth0", "203.0.113.2", "203.0.113.1", "udp/53"),))},
        [],
    ),
    "most of what comes does not come out of the tunnel": (
        {"tunnels": (replace(OFFICE, received=9000, lost=8000),), "peers": (replace(PEER, received=9000),)},
        ["allowed-ips-here"],
    ),
    "the far end answers this box only": (
        {"peers": (replace(PEER, echoes_from=(("192.168.10.1", False),)),)},
        ["allowed-ips-there"],
    ),
    "the far end answers this box and its network": (
        {"peers": (replace(PEER, echoes_from=(("192.168.10.1", True),)),)},
        [],
    ),
    "the far end answers nobody's pings": (
        {"peers": (replace(PEER, echoes=False, echoes_from=(("192.168.10.1", False),)),)},
        [],
    ),
    "counters read a moment apart": ({"tunnels": (replace(OFFICE, received=900000, lost=9000),)}, []),
    "office traffic leaves in clear": (
        {"overheard": heard(passed=(Flow("eth0", "203.0.113.2", "192.168.20.20", "tcp/445"),))},
        ["not-covered"],
    ),
    "the uplink's own network is private": (
        {
            "uplinks": (BEHIND_NAT,),
            "overheard": heard(passed=(Flow("eth0", "192.168.178.2", "192.168.20.20", "tcp/445"),)),
        },
        [],
    ),
    "a rule for another service only": (
        {"dropped": 3, "overheard": heard(arrived=(Flow("eth1", "192.168.10.20", "10.20.0.2", "tcp/22"),))},
        ["firewall"],
    ),
    "a drop, while this box itself asked the same of the same host": (
        {
            "dropped": 3,
            "overheard": heard(
                arrived=(Flow("eth1", "192.168.10.20", "10.20.0.2", "tcp/22"),),
                passed=(Flow("wg-office", "10.20.0.1", "10.20.0.2", "tcp/22"),),
            ),
        },
        ["firewall"],
    ),
    "a connection that was passed on, while a scan was dropped": (
        {
            "dropped": 3,
            "overheard": heard(
                arrived=(
                    Flow("eth1", "192.168.10.20", "192.0.2.7", "tcp/443"),
                    Flow("eth0", "192.0.2.66", "192.168.10.20", "tcp/23"),
                ),
                passed=(Flow("eth0", "203.0.113.2", "192.0.2.7", "tcp/443"),),
            ),
        },
        [],
    ),
    "a colleague asks the box for names, and no rule lets him": (
        {
            "dropped_here": 4,
            "overheard": heard(ignored=(Flow("wg-office", "10.20.0.2", "10.20.0.1", "udp/53"),)),
        },
        ["firewall"],
    ),
    "the name server is slow, while strangers try the box's ports": (
        {
            "dropped_here": 90,
            "overheard": heard(
                ignored=(
                    Flow("eth1", "192.168.10.20", "192.168.10.1", "udp/53"),
                    Flow("eth0", "192.0.2.66", "203.0.113.2", "tcp/23"),
                )
            ),
        },
        [],
    ),
    "a telephone asks its router for a port mapping": (
        {"dropped_here": 9, "overheard": heard(ignored=(Flow("eth1", "192.168.10.20", "192.168.10.1", "udp/5351"),))},
        [],
    ),
    "a host with an address of elsewhere": (
        {
            "spoofed": 9,
            "dropped": 3,
            "overheard": heard(
                arrived=(Flow("eth1", "172.16.5.5", "192.0.2.7", "tcp/443"),),
                insisting=(Flow("eth1", "172.16.5.5", "192.0.2.7", "tcp/443"),),
            ),
        },
        ["wrong-source"],
    ),
    "a host with an address of elsewhere calls the box": (
        {
            "spoofed": 9,
            "dropped_here": 1,
            "overheard": heard(ignored=(Flow("eth1", "172.16.5.5", "192.168.10.1", "tcp/8443"),)),
        },
        ["wrong-source"],
    ),
    "one packet that a telephone leaks": (
        {"spoofed": 1, "overheard": heard(arrived=(Flow("eth1", "172.16.5.5", "192.0.2.7", "tcp/443"),))},
        [],
    ),
    "a printer asks its gateway for the time": (
        {"dropped_here": 9, "overheard": heard(ignored=(Flow("eth1", "192.168.10.20", "192.168.10.1", "udp/123"),))},
        [],
    ),
    "a laptop's tunnel, from inside": (
        {"dropped_here": 9, "overheard": heard(ignored=(Flow("eth1", "192.168.10.20", "203.0.113.2", "udp/51820"),))},
        [],
    ),
    "forgeries from outside": (
        {"spoofed": 9, "overheard": heard(arrived=(Flow("eth0", "192.168.10.20", "192.168.10.30", "tcp/445"),))},
        [],
    ),
    "a black hole": ({"paths": (PathSize("198.51.100.2", "eth0", 1400, 1500),)}, ["mtu-black-hole"]),
    "a smaller line that says so": ({"paths": (PathSize("198.51.100.2", "eth0", 1400, 1500, told=True),)}, []),
    "the kernel's engine was asked for": ({"tunnels": (replace(OFFICE, engine_wanted="kernel"),)}, ["engine"]),
    "this kernel has a module that it could not load": (
        {"module": "kernel/drivers/net/wireguard/wireguard.ko.xz"},
        ["engine"],
    ),
    "the supply is weak": ({"power": Power(weak=("in0_lcrit_alarm is 1",))}, ["undervoltage"]),
    "the processor is hot": ({"power": Power(slowed=("cpu-thermal: 81 °C",))}, ["too-hot"]),
    "the disk is full": ({"disks": (Disk("/data", 1 << 20, 4 << 30),)}, ["disk-full"]),
    "no file fits on the disk": ({"disks": (Disk("/data", 1 << 30, 4 << 30, files_left=0),)}, ["disk-full"]),
    "another host has the address": (
        {"taken": (Taken("eth1", "192.168.10.1", "02:00:00:00:00:01"),)},
        ["address-taken"],
    ),
    "a pair in order": ({"partner": PAIR}, []),
    "two masters, and all that follows from it": (
        {
            "partner": replace(PAIR, partner_role="master"),
            "peers": (SILENT,),
            "taken": (Taken("eth1", "192.168.10.1", "02:00:00:00:00:01"),),
        },
        ["two-masters"],
    ),
    "two masters that hear nothing of each other": (
        {
            "partner": replace(PAIR, alive=False, heard_ago=40.0),
            "taken": (Taken("eth1", "192.168.10.1", "02:00:00:00:00:01"),),
            "beside": (Taken("eth1", "192.168.10.3", "02:00:00:00:00:01"),),
        },
        ["two-masters"],
    ),
    "the partner is away, and somebody else has the address": (
        {
            "partner": replace(PAIR, alive=False, heard_ago=40.0),
            "taken": (Taken("eth1", "192.168.10.1", "02:00:00:00:00:02"),),
            "beside": (Taken("eth1", "192.168.10.3", "02:00:00:00:00:01"),),
        },
        ["address-taken", "partner-silent"],
    ),
    "the partner is away": ({"partner": replace(PAIR, alive=False, heard_ago=40.0)}, ["partner-silent"]),
    "out of step": ({"partner": replace(PAIR, in_step=False, ahead="bravo")}, ["out-of-step"]),
    "something that only the supervisor knows": ({"sentences": ("the trial cannot be written",)}, ["status"]),
}


NEED_THE_FILE = {"allowed-ips-there", "keepalive", "overlapping-networks", "wrong-source"}


def rules() -> Rules:
    config, document = check(FILE.encode())
    return Rules(Site(config, "zurich", document.line))


@pytest.mark.parametrize("case", CASES)
def test_what_is_named(case: str) -> None:
    different, causes = CASES[case]
    # Without the file less is known, and nothing else is said.
    needed = set(causes) & NEED_THE_FILE or "dropped_here" in different
    for known in (rules(),) if needed else (rules(), None):
        found = diagnose(replace(WELL, **different), known)
        assert [each.cause for each in found.findings] == causes
        for finding in found.findings:
            assert finding.sentence.endswith(".") and finding.evidence and finding.remedy
            assert "\n" not in finding.sentence + finding.remedy


def test_a_drop_is_told_with_its_line_and_what_to_write() -> None:
    flows = (
        Flow("eth1", "192.168.10.20", "10.20.0.2", "tcp/22"),
        Flow("wg-office", "10.20.0.2", "192.168.10.20", "tcp/8443"),
    )
    found = diagnose(replace(WELL, dropped=5, overheard=heard(arrived=flows)), rules()).findings
    assert found[0].about == "lan to office.geneva"
    assert "firewall.allow[1], line 17 allows other services or hosts only" in found[0].evidence
    assert found[0].remedy.endswith("firewall.allow, line 14: - {from: lan, to: office.geneva, services: [ssh]}")
    assert found[1].about == "office.geneva to lan"
    assert found[1].remedy.endswith("- {from: office.geneva, to: lan, ports: [tcp/8443]}")


def test_what_the_box_itself_refuses_is_told_with_what_to_write() -> None:
    ignored = (
        Flow("wg-office", "10.20.0.2", "10.20.0.1", "udp/53"),
        Flow("eth1", "192.168.10.20", "192.168.10.1", "tcp/8443"),
    )
    found = diagnose(replace(WELL, dropped_here=5, overheard=heard(ignored=ignored)), rules()).findings
    assert found[0].about == "office.geneva to box"
    assert found[0].remedy.endswith("firewall.allow, line 14: - {from: office.geneva, to: box, services: [dns]}")
    assert found[1].remedy.endswith("- {from: lan, to: box, ports: [tcp/8443]}")


def test_a_clock_that_nobody_can_vouch_for_is_said_to_be_that() -> None:
    found = diagnose(replace(WELL, clock=Clock(False)))
    assert not found.findings and "is not known" in found.untold[0]
