"""A time server that is wrong on purpose: `time_server.py SECONDS` says the time so much later than now (RFC 5905)."""

import socket
import sys
import time

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 123))
print("ready", flush=True)
while True:
    question, asker = server.recvfrom(512)
    told = time.time() + float(sys.argv[1]) + 2_208_988_800
    stamp = int(told).to_bytes(4) + int(told % 1 * 2**32).to_bytes(4)
    server.sendto(bytes([0x24, 1, 6, 0xEC]) + bytes(12) + stamp + question[40:48] + stamp + stamp, asker)
