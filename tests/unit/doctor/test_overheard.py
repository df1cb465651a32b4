"""What the doctor makes of bytes on a cable."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.doctor.wire import PORT, PROHIBITED, Ear, Flow, Frame, Segments, Unreachable, made_for
from tests.unit.config.examples import PROPERTY, key

HERE, THERE = "203.0.113.2", "198.51.100.2"


def ip(protocol: int, source: str, destination: str, content: bytes) -> bytes:
    one, two = ip_address(source), ip_address(destination)
    if one.version == 6:
        return (
            bytes([0x60, 0, 0, 0])
            + len(content).to_bytes(2)
            + bytes([protocol, 64])
            + one.packed
            + two.packed
            + content
        )
    head = bytes([0x45, 0]) + (20 + len(content)).to_bytes(2) + bytes([0, 0, 0x40, 0, 64, protocol, 0, 0])
    return head + one.packed + two.packed + content


def udp(source: int, destination: int, data: bytes) -> bytes:
    return source.to_bytes(2) + destination.to_bytes(2) + (8 + len(data)).to_bytes(2) + b"\0\0" + data


def initiation(public_key: str) -> bytes:
    """As a caller makes it for whoever has that key (whitepaper, section 5.4.2); what is sealed in it is noise here."""
    body = b"\x01\0\0\0" + bytes(range(112))
    mac1 = hashlib.blake2s(body, key=hashlib.blake2s(b"mac1----" + b64decode(public_key)).digest(), digest_size=16)
    return body + mac1.digest() + bytes(16)


def heard(*frames: Frame) -> Ear:
    ear = Ear(frozenset({HERE, "192.168.10.1"}))
    ear.hear(frames)
    return ear


@pytest.mark.parametrize(("here", "there"), [(HERE, THERE), ("2001:db8::2", "2001:db8:1::2")])
def test_for_whose_key_a_call_was_made(here: str, there: str) -> None:
    packet = ip(17, there, here, udp(40000, 51820, initiation(key(1))))
    (call,) = heard(Frame("eth0", False, packet), Frame("eth0", False, packet)).heard().handshakes
    assert call.initiation and not call.out
    brackets = "[{}]:{}" if ":" in here else "{}:{}"
    assert (call.here, call.there) == (brackets.format(here, 51820), brackets.format(there, 40000))
    assert made_for(call, key(1)) and not made_for(call, key(2))


def test_an_answer_is_no_call() -> None:
    ear = heard(Frame("eth0", False, ip(17, THERE, HERE, udp(51820, 51820, b"\x02\0\0\0" + bytes(88)))))
    assert not ear.called and not ear.heard().handshakes[0].initiation


@pytest.mark.parametrize(("code", "reason"), [(3, PORT), (13, PROHIBITED), (1, "host unreachable")])
def test_what_a_router_says_of_a_packet_of_ours(code: int, reason: str) -> None:
    ours = ip(17, HERE, THERE, udp(51820, 51820, b"")[:8])
    said = ip(1, "192.0.2.9", HERE, bytes([3, code, 0, 0, 0, 0, 0, 0]) + ours)
    assert heard(Frame("eth0", False, said)).heard().unreachable == (
        Unreachable("192.0.2.9", reason, f"{THERE}:51820"),
    )


def test_only_the_first_packet_of_a_connection_that_is_to_be_passed_on() -> None:
    syn, answer = (b"\xc0\0\x01\xbb" + bytes(8) + bytes([0x50, flags]) for flags in (0x02, 0x12))
    host = "192.168.10.20"
    frames = [
        Frame("eth1", False, ip(6, host, "192.0.2.7", syn)),
        Frame("eth0", True, ip(6, HERE, "192.0.2.7", syn)),
        Frame("eth0", False, ip(6, "192.0.2.7", HERE, answer)),
        Frame("eth1", False, ip(6, host, "192.168.10.1", syn)),
        Frame("eth1", False, ip(17, host, "224.0.0.251", udp(5353, 5353, b""))),
        Frame("eth1", False, ip(1, host, "10.20.0.2", b"\x08\0\0\0")),
    ]
    found = heard(*frames).heard()
    assert found.arrived == (
        Flow("eth1", host, "192.0.2.7", "tcp/443"),
        Flow("eth1", host, "10.20.0.2", "ping"),
    )
    assert found.passed == (Flow("eth0", HERE, "192.0.2.7", "tcp/443"),)


@PROPERTY
@given(st.binary(max_size=200), st.sampled_from([1, 6, 17, 58, 99]), st.integers(0, 200))
def test_no_packet_is_too_strange(content: bytes, protocol: int, length: int) -> None:
    for packet in (content, ip(protocol, THERE, HERE, content), ip(protocol, "fe80::1", "fe80::2", content)):
        heard(Frame("eth0", False, packet[:length]), Frame("eth0", True, packet))


SYN, SYN_ACK, RST, ACK = 0x02, 0x12, 0x14, 0x10
CLIENT, SERVER = "192.168.10.20", "192.168.20.20"


def tcp(source: int, destination: int, flags: int, options: bytes = b"") -> bytes:
    ports = source.to_bytes(2) + destination.to_bytes(2)
    return ports + bytes(8) + bytes([(20 + len(options)) << 2, flags]) + bytes(6) + options


def frame(device: str, out: bool, source: str, destination: str, content: bytes, protocol: int = 6) -> Frame:
    return Frame(device, out, ip(protocol, source, destination, content))


def test_who_is_called_again_and_never_answers() -> None:
    call = frame("eth1", True, CLIENT, SERVER, tcp(40000, 443, SYN))
    ping = frame("eth1", True, CLIENT, SERVER, b"\x08\0\0\0\0\x01\0\x01", 1)
    told = (Flow("eth1", CLIENT, SERVER, "tcp/443"), Flow("eth1", CLIENT, SERVER, "ping"))
    assert heard(call, ping).heard().unanswered == ()
    assert heard(call, ping, call, ping).heard().unanswered == told
    echo = frame("eth1", False, SERVER, CLIENT, b"\0\0\0\0\0\x01\0\x01", 1)
    for answer in (SYN_ACK, RST):
        back = frame("eth1", False, SERVER, CLIENT, tcp(443, 40000, answer))
        assert heard(call, ping, call, ping, back, echo).heard().unanswered == ()


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (b"\x02\x04\x05\xb4", 1460),
        (b"\x01\x01\x08\x0a" + bytes(8) + b"\x02\x04\x05\x64", 1380),
        (b"\x00\x00\x00\x00\x02\x04\x05\xb4", None),
        (b"", None),
        (b"\x02", None),
        (b"\x08\x00\x02\x04\x05\xb4\x01\x01", 1460),
    ],
)
def test_the_largest_segment_of_a_connection(options: bytes, size: int | None) -> None:
    found = heard(
        frame("wg-office", True, CLIENT, SERVER, tcp(40000, 443, SYN, options)),
        frame("eth1", False, CLIENT, SERVER, tcp(40000, 443, SYN, b"\x02\x04\x22\xc4")),
        frame("wg-office", True, CLIENT, SERVER, tcp(40000, 443, ACK, options)),
    )
    assert found.heard().segments == ((Segments("wg-office", CLIENT, SERVER, size),) if size else ())


def test_who_calls_the_box_itself_in_vain() -> None:
    here, host = "192.168.10.1", "192.168.10.20"
    asks, says = (ip(17, host, here, udp(40000, 53, b"?")), ip(17, here, host, udp(53, 40000, b"!")))
    silent = ip(17, host, here, udp(40000, 123, b"?"))
    calls = [Frame("eth1", False, each) for each in (asks, asks, silent, silent)]
    assert [each.service for each in heard(*calls).heard().ignored] == ["udp/53", "udp/123"]
    assert [each.service for each in heard(*calls, Frame("eth1", True, says)).heard().ignored] == ["udp/123"]
    assert not heard(*calls[:1]).heard().ignored, "one that is as old as the last moment may yet be answered"
    assert not heard(*calls).heard().arrived
