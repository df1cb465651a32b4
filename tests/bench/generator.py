"""A packet generator that costs little beside what it measures: prepared frames, handed to the kernel 1,024 a call.

The frames leave by an AF_PACKET socket on one end of a veth. The kernel takes each through the other end's network,
firewall and all, and on to the next one, in the same call and on the same processor: what is counted at the far end
is therefore bound by that processor, and nothing is queued or lost on the way.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from tests.lab import Node

AT_ONCE = 1024
"""Frames a call: the kernel takes no more (UIO_MAXIOV)."""
SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr of sendmmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


@dataclass(frozen=True)
class Flow:
    """One UDP flow; addresses as numbers, since there are many of them."""

    source: int
    source_port: int
    target: int
    target_port: int


def number(address: str) -> int:
    return int(IPv4Address(address))


def udp_frame(flow: Flow, to_mac: bytes, from_mac: bytes) -> bytes:
    """A smallest Ethernet frame (60 bytes) with a UDP packet without checksum, as IPv4 allows."""
    payload = b"appliance bench..."
    udp = struct.pack("!HHHH", flow.source_port, flow.target_port, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, flow.source, flow.target)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return to_mac + from_mac + b"\x08\x00" + header[:10] + struct.pack("!H", checksum) + header[12:] + udp


@contextmanager
def inside(node: Node) -> Iterator[None]:
    """This thread in the node's network: a socket that is opened here stays there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(node.netns, os.O_RDONLY)
    try:
        os.setns(there, os.CLONE_NEWNET)
        yield
    finally:
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)
        os.close(there)


@contextmanager
def one_processor() -> Iterator[None]:
    """This process on one processor, so that sender and firewall do not share out the work anew in each run."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def mac_of(node: Node, ifname: str) -> bytes:
    text = node.sh(f"cat /sys/class/net/{ifname}/address")
    return bytes.fromhex(text.replace(":", ""))


class Generator:
    """Frames of `flows` from `node`'s interface `ifname` to the Ethernet address `to_mac`."""

    def __init__(self, node: Node, ifname: str, to_mac: bytes, flows: Iterable[Flow]) -> None:
        from_mac = mac_of(node, ifname)
        frames = [udp_frame(flow, to_mac, from_mac) for flow in flows]
        self.count = len(frames)
        self._bytes = ctypes.create_string_buffer(b"".join(frames))
        start = ctypes.addressof(self._bytes)
        self._vectors = (_Iovec * self.count)()
        self._messages = (_Message * self.count)()
        place = start
        for index, frame in enumerate(frames):
            self._vectors[index] = _Iovec(place, len(frame))
            self._messages[index].iov = ctypes.addressof(self._vectors) + index * ctypes.sizeof(_Iovec)
            self._messages[index].iov_length = 1
            place += len(frame)
        with inside(node):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.bind((ifname, 0))
        self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

    def _send(self, first: int, count: int) -> None:
        messages = ctypes.addressof(self._messages)
        while count:
            place = ctypes.c_void_p(messages + first * ctypes.sizeof(_Message))
            done = self._sendmmsg(self._socket.fileno(), place, min(count, AT_ONCE), 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            first += done
            count -= done

    def run(self, seconds: float) -> float:
        """Sends all flows over and over; returns the seconds it took."""
        started = time.monotonic()
        end = started + seconds
        now = started
        while now < end:
            for first in range(0, self.count, AT_ONCE):
                self._send(first, min(AT_ONCE, self.count - first))
            now = time.monotonic()
        return now - started

    def once(self) -> float:
        """Sends one frame of each flow; returns the seconds it took."""
        started = time.monotonic()
        self._send(0, self.count)
        return time.monotonic() - started

    def close(self) -> None:
        self._socket.close()
