"""One question to a name server, or to a time server, over UDP: does it answer, and what time does it say."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 1.5
TRIES = 2
RESOLVED_SERVERS = Path("/run/systemd/resolve/resolv.conf")
CHRONY = Path("/etc/chrony/chrony.conf")
_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905 section 6)."""


def name_servers(file: Path = RESOLVED_SERVERS) -> tuple[str, ...]:
    """The name servers that resolved asks, of all links (systemd-resolved.service(8))."""
    return tuple(dict.fromkeys(re.findall(r"^nameserver (\S+)", _text(file), re.MULTILINE)))


def time_servers(file: Path = CHRONY) -> tuple[str, ...]:
    """The names of the time servers that chrony is told of (chrony.conf(5))."""
    return tuple(re.findall(r"^(?:pool|server|peer)\s+(\S+)", _text(file), re.MULTILINE))


def answers_names(address: str) -> bool:
    """Whether it answers a question for the root's name servers; a refusal is an answer, too (RFC 1035 section 4)."""
    number = os.urandom(2)
    question = number + bytes.fromhex("0100 0001 0000 0000 0000 00 0002 0001".replace(" ", ""))
    return bool(_asked(address, 53, question, lambda answer: answer[:2] == number))


def ahead_of(address: str) -> float | None:
    """Seconds that this clock is ahead of the time server's; None where it does not answer, or is not sure itself."""
    asked = time.time()
    answer = _asked(address, 123, b"\x23" + bytes(47), lambda answer: len(answer) >= 48 and answer[1] != 0)
    if not answer:
        return None
    # Across the end of an era (2036) the difference is small all the same (RFC 5905 section 6).
    told = int.from_bytes(answer[40:44]) + int.from_bytes(answer[44:48]) / 2**32
    middle = (asked + time.time()) / 2 + _NTP_EPOCH
    return (middle - told + 2**31) % 2**32 - 2**31


def _asked(address: str, port: int, question: bytes, right: Callable[[bytes], bool]) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(SECONDS)
        for _ in range(TRIES):
            try:
                asking.connect((address.partition("%")[0], port))
                asking.send(question)
                answer = asking.recv(512)
            except OSError:
                continue
            if right(answer):
                return answer
    return b""


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
