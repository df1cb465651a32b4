"""Many probes in one process, for a node that stands for many: `many.py ADDRESS PORT INTERVAL DEVICE...`.

From each device a numbered UDP packet every INTERVAL seconds, which whoever listens at ADDRESS echoes (probe.py echo).
Each line on stdin asks what became of the packets since the line before: {DEVICE: [sent, lost]}, when they had time.
"""

import json
import select
import socket
import struct
import sys
import time

# How long the last packets may be on their way before they count as lost.
STRAGGLERS = 1.0
BUFFER = 4 << 20


class Device:
    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.sent = 0
        self.asked = 0
        self.answered: set[int] = set()

    def send(self, target: tuple[str, int]) -> None:
        try:
            self.socket.sendto(struct.pack("!Q", self.sent), target)
        except OSError:
            pass  # no route, no buffer, refused: lost
        self.sent += 1

    def receive(self) -> None:
        while True:
            try:
                self.answered.add(struct.unpack("!Q", self.socket.recv(64))[0])
            except BlockingIOError:
                return
            except OSError:
                pass  # an ICMP error for an earlier packet

    def told(self, until: int) -> tuple[int, int]:
        """Sent and lost since it was told before."""
        found = until - self.asked, self.lost(until)
        self.asked = until
        return found

    def lost(self, until: int) -> int:
        return sum(number not in self.answered for number in range(self.asked, until))


def main() -> None:
    target = (sys.argv[1], int(sys.argv[2]))
    devices = [Device(name) for name in sys.argv[4:]]
    pause = float(sys.argv[3]) / len(devices)
    poll = select.poll()
    by_descriptor = {device.socket.fileno(): device for device in devices}
    for descriptor in (*by_descriptor, sys.stdin.fileno()):
        poll.register(descriptor, select.POLLIN)
    print("ready", flush=True)
    turn, following = 0, time.monotonic()
    question: tuple[float, dict[str, int]] | None = None
    while True:
        now = time.monotonic()
        if now >= following:
            devices[turn % len(devices)].send(target)
            turn += 1
            following = max(following + pause, now - 10 * pause)
        for descriptor, _ in poll.poll(max(0.0, (following - now) * 1000)):
            if descriptor in by_descriptor:
                by_descriptor[descriptor].receive()
            elif not sys.stdin.readline():
                return
            else:
                question = (now + STRAGGLERS, {device.name: device.sent for device in devices})
        if question and (now > question[0] or not any(each.lost(question[1][each.name]) for each in devices)):
            print(json.dumps({each.name: each.told(question[1][each.name]) for each in devices}), flush=True)
            question = None


main()
