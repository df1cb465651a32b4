#!/usr/bin/python3 -I
"""Stands in for pppd(8) with its PPPoE plugin, for its other end and for the kernel's PPP, where the kernel has none.

They say on the wire what those say, as far as a lab of takeovers needs it: discovery (RFC 2516), an address by IPCP
(RFC 1332), LCP echoes (RFC 1661); no authentication, no compression. A session's device is a tun device.

ppp.py file OPTIONS nodetach: as the product calls pppd; what the kernel would say in /proc/net/pppoe stands in a file.
ppp.py serve CARD ADDRESS: the provider, its end having that address. One session for each hardware address, and no
answer to who wants a second one; the client's address stands in /run/lend; whoever is silent for 20 s is forgotten.
"""

import fcntl
import os
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

OPEN = Path("/run/appliance-pppoe/open-sessions")
DISCOVERY, SESSION = 0x8863, 0x8864
PADI, PADO, PADR, PADS, PADT = 0x09, 0x07, 0x19, 0x65, 0xA7
SERVICE, UNIQUE, COOKIE = 0x0101, 0x0103, 0x0104
IP, IPCP, LCP = 0x0021, 0x8021, 0xC021
REQUEST, ACK, NAK, ECHO, ECHOED = 1, 2, 3, 9, 10
FORGOTTEN = 20.0
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def listen(device: str, protocol: int) -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
    found.bind((device, protocol))
    return found


def tags(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        kind, length = struct.unpack(">HH", data[:4])
        found[kind], data = data[4 : 4 + length], data[4 + length :]
    return found


def written(found: dict[int, bytes]) -> bytes:
    return b"".join(struct.pack(">HH", kind, len(value)) + value for kind, value in found.items())


def frame(code: int, session: int, payload: bytes) -> bytes:
    return struct.pack(">BBHH", 0x11, code, session, len(payload)) + payload


def opened(data: bytes) -> tuple[int, int, bytes]:
    _, code, session, length = struct.unpack(">BBHH", data[:6])
    return code, session, data[6 : 6 + length]


def control(code: int, number: int, data: bytes) -> bytes:
    return struct.pack(">BBH", code, number, 4 + len(data)) + data


def tun(name: str) -> int:
    found = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(found, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return found


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Client:
    def __init__(self, path: str) -> None:
        words = [shlex.split(line, comments=True) for line in Path(path).read_text().splitlines()]
        self.options = {line[0]: line[1:] for line in words if line}
        self.nic = next(name.removeprefix("nic-") for name in self.options if name.startswith("nic-"))
        self.device, self.uplink = self.options["ifname"][0], self.options["ipparam"][0]
        self.discovery, self.session = listen(self.nic, DISCOVERY), listen(self.nic, SESSION)
        self.provider, self.number = b"", 0

    def say(self, code: int, found: dict[int, bytes], to: bytes) -> None:
        self.discovery.sendto(frame(code, 0, written(found)), (self.nic, DISCOVERY, 0, 0, to))

    def hear(self, wanted: int, seconds: float) -> tuple[int, dict[int, bytes], bytes] | None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.discovery], [], [], left)[0]:
            data, sender = self.discovery.recvfrom(2048)
            code, session, payload = opened(data)
            found = tags(payload)
            if code == wanted and found.get(UNIQUE) == self.unique:
                return session, found, sender[4]
        return None

    def discover(self) -> None:
        self.unique = struct.pack(">I", os.getpid())
        for seconds in (1, 2, 4, 8):
            self.say(PADI, {SERVICE: b"", UNIQUE: self.unique}, b"\xff" * 6)
            offer = self.hear(PADO, seconds)
            if offer is None:
                continue
            _, found, self.provider = offer
            self.say(PADR, {SERVICE: b"", UNIQUE: self.unique, COOKIE: found.get(COOKIE, b"")}, self.provider)
            answer = self.hear(PADS, seconds)
            if answer and answer[0]:
                self.number = answer[0]
                return
        sys.exit(8)

    def send(self, protocol: int, data: bytes) -> None:
        packet = frame(0, self.number, struct.pack(">H", protocol) + data)
        self.session.sendto(packet, (self.nic, SESSION, 0, 0, self.provider))

    def run(self) -> None:
        self.discover()
        mac = self.provider.hex(":")
        OPEN.write_text(f"Id Address Device\n{socket.htons(self.number):08X} {mac} {self.nic}\n")
        self.tunnel, up = tun(self.device), False
        ip("link", "set", self.device, "addrgenmode", "none", "mtu", self.options["mtu"][0])
        self.send(IPCP, control(REQUEST, 1, b"\x03\x06" + bytes(4)))
        asked, heard = time.monotonic(), time.monotonic()
        while True:
            ready = select.select([self.discovery, self.session, self.tunnel], [], [], 1.0)[0]
            now = time.monotonic()
            if now - heard > 20:
                sys.exit(15)
            if now - asked > 5:
                asked = now
                self.send(LCP, control(ECHO, 0, bytes(4)))
            if self.tunnel in ready:
                self.send(IP, os.read(self.tunnel, 2048))
            if self.discovery in ready:
                data, sender = self.discovery.recvfrom(2048)
                code, session, _ = opened(data)
                if code == PADT and (session, sender[4]) == (self.number, self.provider):
                    sys.exit(16)
            if self.session not in ready:
                continue
            data, sender = self.session.recvfrom(2048)
            code, session, payload = opened(data)
            if (session, sender[4]) != (self.number, self.provider):
                continue
            heard = now
            protocol, payload = struct.unpack(">H", payload[:2])[0], payload[2:]
            if protocol == IP and up:
                os.write(self.tunnel, payload)
            elif protocol == LCP and payload[0] == ECHO:
                self.send(LCP, bytes([ECHOED]) + payload[1:])
            elif protocol == IPCP and payload[0] == NAK:
                self.send(IPCP, control(REQUEST, 2, payload[4:10]))
            elif protocol == IPCP and payload[0] == ACK and not up:
                up = True
                self.established(socket.inet_ntoa(payload[6:10]))

    def established(self, address: str) -> None:
        ip("address", "add", address, "peer", "100.64.0.1", "dev", self.device)
        ip("link", "set", self.device, "up")
        ip("route", "add", "default", "dev", self.device, "metric", self.options["defaultroute-metric"][0])
        script = self.options["ip-up-script"][0]
        names = {**os.environ, "DNS1": "192.0.2.53"}
        subprocess.Popen([script, self.device, "", "0", address, "100.64.0.1", self.uplink], env=names)

    def end(self) -> None:
        OPEN.unlink(missing_ok=True)
        if self.number:
            try:
                packet = frame(PADT, self.number, b"")
                self.discovery.sendto(packet, (self.nic, DISCOVERY, 0, 0, self.provider))
            except OSError:
                pass  # the device below is down already


@dataclass
class Customer:
    number: int
    address: bytes
    heard: float
    asked: float = 0.0
    tunnel: int = -1


def serve(card: str, local: str) -> None:
    discovery, session = listen(card, DISCOVERY), listen(card, SESSION)
    clients: dict[bytes, Customer] = {}
    last = 0

    def forget(mac: bytes) -> None:
        if (tunnel := clients.pop(mac).tunnel) >= 0:
            os.close(tunnel)

    def send(mac: bytes, protocol: int, data: bytes) -> None:
        packet = frame(0, clients[mac].number, struct.pack(">H", protocol) + data)
        session.sendto(packet, (card, SESSION, 0, 0, mac))

    print("ready", flush=True)
    while True:
        tunnels = {client.tunnel: mac for mac, client in clients.items() if client.tunnel >= 0}
        ready = select.select([discovery, session, *tunnels], [], [], 0.5)[0]
        now = time.monotonic()
        for mac, client in list(clients.items()):
            if now - client.heard > FORGOTTEN:
                forget(mac)
            elif now - client.asked > 5:
                client.asked = now
                send(mac, LCP, control(ECHO, 0, bytes(4)))
        for tunnel in set(ready) & tunnels.keys():
            if tunnels[tunnel] in clients:
                send(tunnels[tunnel], IP, os.read(tunnel, 2048))
        if discovery in ready:
            data, sender = discovery.recvfrom(2048)
            mac = sender[4]
            code, number, payload = opened(data)
            found = {SERVICE: b"", UNIQUE: tags(payload).get(UNIQUE, b""), COOKIE: b"cookie"}
            if code == PADT and mac in clients and clients[mac].number == number:
                forget(mac)
            elif code == PADI and mac not in clients:
                discovery.sendto(frame(PADO, 0, written(found)), (card, DISCOVERY, 0, 0, mac))
            elif code == PADR and mac not in clients:
                last += 1
                clients[mac] = Customer(last, socket.inet_aton(Path("/run/lend").read_text()), now)
                discovery.sendto(frame(PADS, last, written(found)), (card, DISCOVERY, 0, 0, mac))
        if session not in ready:
            continue
        data, sender = session.recvfrom(2048)
        mac = sender[4]
        _, number, payload = opened(data)
        if mac not in clients or clients[mac].number != number:
            continue
        client = clients[mac]
        client.heard = now
        protocol, payload = struct.unpack(">H", payload[:2])[0], payload[2:]
        if protocol == IP and client.tunnel >= 0:
            os.write(client.tunnel, payload)
        elif protocol == LCP and payload[0] == ECHO:
            send(mac, LCP, bytes([ECHOED]) + payload[1:])
        elif protocol == IPCP and payload[0] == REQUEST and payload[6:10] != client.address:
            send(mac, IPCP, control(NAK, payload[1], b"\x03\x06" + client.address))
        elif protocol == IPCP and payload[0] == REQUEST:
            if client.tunnel < 0:
                client.tunnel = tun(f"ppp{number}")
                text = socket.inet_ntoa(client.address)
                ip("address", "add", local, "peer", text, "dev", f"ppp{number}")
                ip("link", "set", f"ppp{number}", "addrgenmode", "none", "up", "mtu", "1492")
            send(mac, IPCP, bytes([ACK]) + payload[1:])


def main() -> None:
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
        return
    client = Client(sys.argv[sys.argv.index("file") + 1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    try:
        client.run()
    except OSError:
        sys.exit(16)  # the device below went down
    finally:
        client.end()


if __name__ == "__main__":
    main()
