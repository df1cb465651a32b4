"""One end of a Probe, run inside a node: `probe.py echo PORT` or `probe.py send ADDRESS PORT INTERVAL`.

The sender prints a line of JSON a few times a second; it ends when its stdin does, after waiting for stragglers.
"""

import json
import select
import socket
import struct
import sys
import time
from typing import TextIO

# How long the last packets may be on their way before they count as lost.
STRAGGLERS = 1.0


def echo(port: int) -> None:
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", port))
    print("ready", flush=True)
    while True:
        data, sender = server.recvfrom(2048)
        try:
            server.sendto(data, sender)
        except OSError:
            pass  # no route back at this moment: for the sender that is a lost packet


class Sender:
    def __init__(self, address: str, port: int, interval: float) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.target = (address, port)
        self.interval = interval
        self.sent: list[float] = []
        self.answered: dict[int, float] = {}
        self.last_answer = 0.0
        self.longest_gap = 0.0

    def send(self) -> None:
        number = len(self.sent)
        self.sent.append(time.monotonic())
        try:
            self.socket.sendto(struct.pack("!Q", number), self.target)
        except OSError:
            pass  # no route, no buffer, refused: lost

    def receive(self) -> None:
        try:
            number = struct.unpack("!Q", self.socket.recv(2048))[0]
        except OSError:
            return  # an ICMP error for an earlier packet
        now = time.monotonic()
        if number not in self.answered:
            self.answered[number] = now - self.sent[number]
            if self.last_answer:
                self.longest_gap = max(self.longest_gap, now - self.last_answer)
            self.last_answer = now

    def report(self, now: float) -> None:
        # A gap that is still open counts, too: otherwise a path that died for good would look perfect.
        gap = max(self.longest_gap, now - self.last_answer) if self.last_answer else 0.0
        times = sorted(self.answered.values())
        print(
            json.dumps(
                {
                    "sent": len(self.sent),
                    "received": len(self.answered),
                    "longest_gap_ms": round(gap * 1000, 1),
                    "median_ms": round(times[len(times) // 2] * 1000, 2) if times else 0.0,
                    "lost": [number for number in range(len(self.sent)) if number not in self.answered][:200],
                }
            ),
            flush=True,
        )

    def run(self) -> None:
        following = time.monotonic()
        reported = 0.0
        ending = 0.0
        while not ending or (time.monotonic() < ending and len(self.answered) < len(self.sent)):
            now = time.monotonic()
            if not ending and now >= following:
                self.send()
                following = max(following + self.interval, now - 10 * self.interval)
            if now - reported > 0.1:
                self.report(now)
                reported = now
            wait = max(0.0, following - now) if not ending else 0.05
            watched: list[socket.socket | TextIO] = [self.socket] if ending else [self.socket, sys.stdin]
            ready = select.select(watched, [], [], min(wait, 0.1))[0]
            if self.socket in ready:
                self.receive()
            if sys.stdin in ready and not sys.stdin.readline():
                ending = time.monotonic() + STRAGGLERS
        self.report(self.last_answer or time.monotonic())


if sys.argv[1] == "echo":
    echo(int(sys.argv[2]))
else:
    Sender(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])).run()
