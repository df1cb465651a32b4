"""Many WireGuard peers in one process: `responder.py PORT`, private keys (hex) and the gateway's public key as JSON on
the first line of its input. Peer n listens on PORT + n.

It answers initiations, and counts a peer as back when the first data of a new session has arrived: the gateway has
the session then, too. Written after the whitepaper, sections 5.4.2 and 5.4.3 (Noise IKpsk2, no preshared key); what can
be known beforehand is computed beforehand, so that 1,000 handshakes cost this side a third of a second. Further lines:
`speak N` sends an empty packet from each of the first N; both that and `when` print when each was back last, in seconds
since 1970, 0 for never.
"""

import hashlib
import hmac
import json
import selectors
import socket
import struct
import sys
import time

# Run without site-packages (tests/lab/traffic.py).
sys.path.append("/usr/lib/python3/dist-packages")
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

INITIATION, DATA = 1, 4
ZEROS = bytes(16)


def blake(data: bytes, key: bytes = b"", size: int = 32) -> bytes:
    return hashlib.blake2s(data, key=key, digest_size=size).digest()


def kdf(chain: bytes, data: bytes, count: int) -> list[bytes]:
    secret = hmac.digest(chain, data, "blake2s")
    found, last = [], b""
    for number in range(1, count + 1):
        last = hmac.digest(secret, last + bytes([number]), "blake2s")
        found.append(last)
    return found


CHAIN = blake(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
BEGIN = blake(CHAIN + b"WireGuard v1 zx2c4 Jason@zx2c4.com")


def nonce(counter: int) -> bytes:
    return struct.pack("<4xQ", counter)


class Peer:
    def __init__(self, index: int, private: bytes, gateway: X25519PublicKey, port: int) -> None:
        self.index = index
        self.private = X25519PrivateKey.from_private_bytes(private)
        self.hash = blake(BEGIN + self.private.public_key().public_bytes_raw())
        self.gateway = gateway
        self.mac_key = blake(b"mac1----" + gateway.public_bytes_raw())
        self.statics = self.private.exchange(gateway)
        self.back_at = 0.0
        self.receiving: ChaCha20Poly1305 | None = None
        self.sending: ChaCha20Poly1305 | None = None
        self.remote, self.counter = 0, 0
        self.confirmed = False
        self.at: tuple[str, int] | None = None
        self.prepare()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("0.0.0.0", port + index))

    def prepare(self) -> None:
        """The next handshake's own half."""
        self.ephemeral = X25519PrivateKey.generate()
        self.ephemeral_public = self.ephemeral.public_key().public_bytes_raw()
        self.ephemeral_static = self.ephemeral.exchange(self.gateway)

    def readable(self) -> None:
        data, source = self.socket.recvfrom(2048)
        self.at = source
        if data[0] == INITIATION and len(data) == 148:
            self.socket.sendto(self.respond(data), source)
            self.prepare()
        elif data[0] == DATA and self.receiving and not self.confirmed:
            (counter,) = struct.unpack_from("<Q", data, 8)
            self.receiving.decrypt(nonce(counter), data[16:], b"")
            self.confirmed, self.back_at = True, time.time()

    def respond(self, data: bytes) -> bytes:
        (self.remote,) = struct.unpack_from("<I", data, 4)
        theirs, static, stamp = data[8:40], data[40:88], data[88:116]
        (chain,) = kdf(CHAIN, theirs, 1)
        chain, key = kdf(chain, self.private.exchange(X25519PublicKey.from_public_bytes(theirs)), 2)
        state = blake(self.hash + theirs)
        ChaCha20Poly1305(key).decrypt(nonce(0), static, state)
        chain, key = kdf(chain, self.statics, 2)
        state = blake(state + static)
        ChaCha20Poly1305(key).decrypt(nonce(0), stamp, state)
        state = blake(blake(state + stamp) + self.ephemeral_public)
        (chain,) = kdf(chain, self.ephemeral_public, 1)
        (chain,) = kdf(chain, self.ephemeral.exchange(X25519PublicKey.from_public_bytes(theirs)), 1)
        (chain,) = kdf(chain, self.ephemeral_static, 1)
        chain, mixed, key = kdf(chain, bytes(32), 3)
        empty = ChaCha20Poly1305(key).encrypt(nonce(0), b"", blake(state + mixed))
        answer = struct.pack("<III", 2, self.index + 1, self.remote) + self.ephemeral_public + empty
        receiving, sending = kdf(chain, b"", 2)
        self.receiving, self.sending = ChaCha20Poly1305(receiving), ChaCha20Poly1305(sending)
        self.counter, self.confirmed = 0, False
        return answer + blake(answer, self.mac_key, 16) + ZEROS

    def speak(self) -> None:
        if self.sending and self.confirmed and self.at:
            header = struct.pack("<IIQ", DATA, self.remote, self.counter)
            self.socket.sendto(header + self.sending.encrypt(nonce(self.counter), b"", b""), self.at)
            self.counter += 1


def main() -> None:
    given = json.loads(sys.stdin.readline())
    gateway = X25519PublicKey.from_public_bytes(bytes.fromhex(given["gateway"]))
    port = int(sys.argv[1])
    peers = [Peer(index, bytes.fromhex(key), gateway, port) for index, key in enumerate(given["keys"])]
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ)
    for peer in peers:
        ready.register(peer.socket, selectors.EVENT_READ, peer)
    print("ready", flush=True)
    while True:
        for found, _ in ready.select():
            if found.data:
                found.data.readable()
                continue
            words = sys.stdin.readline().split()
            if not words:
                return
            if words[0] == "speak":
                for peer in peers[: int(words[1])]:
                    peer.speak()
            print(json.dumps([peer.back_at for peer in peers]), flush=True)


main()
