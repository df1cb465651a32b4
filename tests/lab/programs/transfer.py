"""One end of a TCP transfer: `transfer.py serve PORT` or `transfer.py send ADDRESS PORT BYTES`. Prints JSON."""

import hashlib
import json
import os
import socket
import sys
import time


def serve(port: int) -> None:
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        print("ready", flush=True)
        connection, _ = server.accept()
        digest, received = hashlib.sha256(), 0
        while data := connection.recv(1 << 16):
            digest.update(data)
            received += len(data)
        connection.sendall(digest.hexdigest().encode())
        connection.close()
    print(json.dumps({"bytes": received}), flush=True)


def send(address: str, port: int, size: int) -> None:
    data = os.urandom(min(size, 1 << 20))
    digest, left = hashlib.sha256(), size
    started = time.monotonic()
    with socket.create_connection((address, port), timeout=60) as connection:
        while left:
            chunk = data[:left]
            connection.sendall(chunk)
            digest.update(chunk)
            left -= len(chunk)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(100):
            answer += part
    seconds = time.monotonic() - started
    whole = answer.decode() == digest.hexdigest()
    print(json.dumps({"whole": whole, "seconds": seconds, "mbit": size * 8 / seconds / 1e6}), flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
