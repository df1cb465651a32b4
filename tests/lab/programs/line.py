"""A long cable: `line.py ONE TWO MILLISECONDS` carries every frame between two devices, so much later, each way.

The kernel here has no netem. Frames are read and written with their virtio header (PACKET_VNET_HDR, packet(7)), so that
checksums and segments that the sender left to its card stay what they are. Prints "ready" when it carries.
"""

import select
import socket
import sys
import time
from collections import deque

ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
LARGEST = 10 + 14 + 65535 + 64
BURST = 64


def opened(device: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    end.bind((device, ETH_P_ALL))
    return end


def carry(one: str, two: str, seconds: float) -> None:
    ends = [opened(one), opened(two)]
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    # The delay is the same for all, so what came first goes first.
    under_way: deque[tuple[float, socket.socket, bytes]] = deque()
    print("ready", flush=True)
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(ends, [], [], wait)[0]:
            for _ in range(BURST):
                try:
                    frame = end.recv(LARGEST)
                except OSError:
                    break  # no more, or a cable that is out at this moment
                under_way.append((time.monotonic() + seconds, other[end], frame))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, end, frame = under_way.popleft()
            try:
                end.send(frame)
            except OSError:
                pass  # lost, as on a line


carry(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000)
