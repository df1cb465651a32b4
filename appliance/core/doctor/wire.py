"""What is heard on the cables: handshakes of WireGuard, what routers say about packets, first packets of connections.

Bytes of IP packets go in; of most packets nothing is kept. Layouts: RFC 791, RFC 8200, RFC 792, RFC 4443; WireGuard
whitepaper, section 5.4.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_INITIATION, _RESPONSE = 148, 92
_LABEL_MAC1 = b"mac1----"


class Frame(NamedTuple):
    """An IP packet on a device; `out`: this box sent it."""

    device: str
    out: bool
    packet: bytes


class Handshake(NamedTuple):
    """A handshake message. `initiation`, or else a response; `here` and `there` are ADDRESS:PORT.

    `mac1_over` and `mac1` show for whose public key it was made.
    """

    out: bool
    initiation: bool
    here: str
    there: str
    mac1_over: bytes = b""
    mac1: bytes = b""


class Unreachable(NamedTuple):
    """A router or host said by ICMP that a UDP packet did not arrive. `there`: ADDRESS:PORT that it was sent to."""

    said_by: str
    reason: str
    there: str


class Segments(NamedTuple):
    """A TCP connection that began on a device, as it left there: `size` is the largest segment that one side takes
    (the MSS option, RFC 9293, section 3.7.1)."""

    device: str
    source: str
    destination: str
    size: int


class Flow(NamedTuple):
    """The first packet of a connection, as it arrived. `service` is ping, tcp/443, udp/53."""

    device: str
    source: str
    destination: str
    service: str


@dataclass(frozen=True, slots=True)
class Overheard:
    """Without repetitions. `arrived` are the connections that came to be passed on, `passed` what left, by device;
    `insisting` are those of the former that were tried again, `unanswered` the TCP connections and pings of the latter
    that were tried again and never answered. `ignored` are those to this box's own addresses that were tried again and
    that it did not answer."""

    handshakes: tuple[Handshake, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    arrived: tuple[Flow, ...] = ()
    insisting: tuple[Flow, ...] = ()
    passed: tuple[Flow, ...] = ()
    unanswered: tuple[Flow, ...] = ()
    ignored: tuple[Flow, ...] = ()
    segments: tuple[Segments, ...] = ()


_UNREACHABLE = {
    (ICMP, 3): {0: "network unreachable", 1: "host unreachable", 3: "port unreachable"},
    (ICMPV6, 1): {0: "network unreachable", 3: "host unreachable", 4: "port unreachable"},
}
PROHIBITED = "prohibited by a firewall"
PORT = "port unreachable"


@dataclass(slots=True)
class Ear:
    """Sorts frames as they come. `own`: the addresses of this box; what is sent to them is not passed on."""

    own: frozenset[str]
    handshakes: dict[Handshake, None] = field(default_factory=dict)
    unreachable: dict[Unreachable, None] = field(default_factory=dict)
    arrived: dict[Flow, int] = field(default_factory=dict)
    passed: dict[Flow, int] = field(default_factory=dict)
    called_here: dict[Flow, int] = field(default_factory=dict)
    """Connections to be passed on, that left, and to this box's own addresses: how often each."""
    answered: set[tuple[str, str, str]] = field(default_factory=set)
    """Who was answered by whom, and of what service."""
    segments: dict[Segments, None] = field(default_factory=dict)

    def hear(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            parsed = _ip(frame.packet)
            if parsed:
                self._sort(frame, *parsed)

    @property
    def called(self) -> bool:
        """Whether somebody began a handshake with this box."""
        return any(each.initiation and not each.out for each in self.handshakes)

    def heard(self) -> Overheard:
        unanswered = tuple(
            flow
            for flow, number in self.passed.items()
            # One that is as old as the last second may yet be answered.
            if number > 1 and not flow.service.startswith("udp/") and flow[1:] not in self.answered
        )
        return Overheard(
            tuple(self.handshakes),
            tuple(self.unreachable),
            tuple(self.arrived),
            tuple(flow for flow, number in self.arrived.items() if number > 1),
            tuple(self.passed),
            unanswered,
            tuple(flow for flow, number in self.called_here.items() if number > 1 and flow[1:] not in self.answered),
            tuple(self.segments),
        )

    def _sort(self, frame: Frame, protocol: int, source: str, destination: str, content: bytes) -> None:
        if protocol == UDP and (found := _handshake(frame.out, source, destination, content)):
            self.handshakes[found] = None
            return
        if not frame.out and (protocol, content[:1]) in ((ICMP, b"\x03"), (ICMPV6, b"\x01")):
            if said := _unreachable(protocol, source, content):
                self.unreachable[said] = None
            return
        if answer := _answer(protocol, content):
            self.answered.add((destination, source, answer))
        elif frame.out and protocol == UDP and source in self.own:
            self.answered.add((destination, source, f"udp/{int.from_bytes(content[:2])}"))
        if frame.out and (size := _segment(protocol, content)):
            self.segments[Segments(frame.device, source, destination, size)] = None
        service = _first(protocol, content)
        if not service or (not frame.out and ip_address(destination).is_multicast):
            return
        heard = self.passed if frame.out else self.called_here if destination in self.own else self.arrived
        flow = Flow(frame.device, source, destination, service)
        heard[flow] = heard.get(flow, 0) + 1


def made_for(call: Handshake, public_key: str) -> bool:
    """Whether an initiation is meant for whoever has this public key (base64): its mac1 is keyed with it."""
    key = hashlib.blake2s(_LABEL_MAC1 + b64decode(public_key)).digest()
    return hashlib.blake2s(call.mac1_over, key=key, digest_size=16).digest() == call.mac1


def _ip(packet: bytes) -> tuple[int, str, str, bytes] | None:
    """Protocol, source, destination and content; None for what is no whole first fragment."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        if int.from_bytes(packet[6:8]) & 0x1FFF:
            return None
        header = (packet[0] & 0xF) * 4
        return packet[9], _text(packet[12:16]), _text(packet[16:20]), packet[header:]
    if version == 6 and len(packet) >= 40:
        return packet[6], _text(packet[8:24]), _text(packet[24:40]), packet[40:]
    return None


def _handshake(out: bool, source: str, destination: str, content: bytes) -> Handshake | None:
    data = content[8:]
    size = int.from_bytes(content[4:6]) - 8
    if (data[:4], size) not in ((b"\x01\0\0\0", _INITIATION), (b"\x02\0\0\0", _RESPONSE)):
        return None
    ends = [_end(source, content[0:2]), _end(destination, content[2:4])]
    here, there = ends if out else reversed(ends)
    if size == _RESPONSE:
        return Handshake(out, False, here, there, data[:60], data[60:76])
    return Handshake(out, True, here, there, data[:116], data[116:132])


def _unreachable(protocol: int, source: str, content: bytes) -> Unreachable | None:
    inner = _ip(content[8:])
    if not inner or inner[0] != UDP:
        return None
    reason = _UNREACHABLE[protocol, content[0]].get(content[1], PROHIBITED)
    return Unreachable(source, reason, _end(inner[2], inner[3][2:4]))


def _first(protocol: int, content: bytes) -> str:
    """The service that a connection begins with here, "" for other packets."""
    if protocol == TCP and len(content) >= 14 and content[13] & 0x12 == 0x02:
        return f"tcp/{int.from_bytes(content[2:4])}"
    if protocol == UDP and len(content) >= 8:
        return f"udp/{int.from_bytes(content[2:4])}"
    echo = {ICMP: 8, ICMPV6: 128}.get(protocol)
    return "ping" if content and echo == content[0] else ""


def _answer(protocol: int, content: bytes) -> str:
    """The service that answers here, be it by a refusal; "" for other packets."""
    if protocol == TCP and len(content) >= 14 and (content[13] & 0x12 == 0x12 or content[13] & 0x04):
        return f"tcp/{int.from_bytes(content[0:2])}"
    echo = {ICMP: 0, ICMPV6: 129}.get(protocol)
    return "ping" if content and echo == content[0] else ""


def _segment(protocol: int, content: bytes) -> int:
    """The MSS option of a packet that begins or accepts a TCP connection, 0 where there is none."""
    if protocol != TCP or len(content) < 20 or not content[13] & 0x02:
        return 0
    options = content[20 : (content[12] >> 4) * 4]
    while len(options) > 1 and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        if options[0] == 2 and len(options) >= 4:
            return int.from_bytes(options[2:4])
        options = options[max(2, options[1]) :]
    return 0


def _end(address: str, port: bytes) -> str:
    number = int.from_bytes(port)
    return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"


def _text(packed: bytes) -> str:
    return str(ip_address(packed))
