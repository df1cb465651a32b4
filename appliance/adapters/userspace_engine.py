"""The bundled engine, wireguard-go, through its UAPI socket /run/wireguard/DEVICE.sock.

The protocol is the cross-platform interface of wireguard.com/xplatform: lines of key=value, keys in hexadecimal.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from appliance.adapters.engine import KeyedChange
from appliance.adapters.errors import Refused
from appliance.adapters.keys import digest
from appliance.core.state import ObservedDevice, ObservedPeer

SOCKETS = Path("/run/wireguard")
ANSWER_SECONDS = 1.5
START_SECONDS = 3.0
_NO_KEY = "0" * 64


class UserspaceEngine:
    """Speaks to whichever process serves a device. `public_key_of` turns a private key of ours into its public one."""

    def __init__(self, public_key_of: Callable[[bytes], str]) -> None:
        self.public_key_of = public_key_of

    def read(self, device: str) -> ObservedDevice | None:
        try:
            answer = self._ask(device, "get=1\n\n")
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
            return None
        return self._device(answer)

    def set_device(self, device: str, private_key: bytes | None, port: int | None, mark: int | None) -> None:
        lines = ["set=1"]
        if private_key is not None:
            lines.append(f"private_key={private_key.hex()}")
        if port is not None:
            lines.append(f"listen_port={port}")
        if mark is not None:
            lines.append(f"fwmark={mark}")
        self._set(device, lines)

    def set_peers(self, device: str, changes: Sequence[KeyedChange], removed: Sequence[str]) -> None:
        lines = ["set=1"]
        for key in removed:
            lines += [f"public_key={_hex(key)}", "remove=true"]
        for keyed in changes:
            lines += _change_lines(keyed)
        self._set(device, lines)

    def _set(self, device: str, lines: list[str]) -> None:
        """A new engine's socket follows its interface by some milliseconds, so the first call waits for it."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                answer = self._ask(device, "\n".join(lines) + "\n\n")
                break
            except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
                if time.monotonic() > end:
                    message = f"the engine of {device} does not answer; see `journalctl -u appliance-engine@{device}`"
                    raise Refused(message) from None
                time.sleep(0.005)
        code = next((int(value) for key, value in answer if key == "errno"), errno.EIO)
        if code:
            reason = "its listen port is taken" if code == errno.EADDRINUSE else os.strerror(abs(code))
            raise Refused(f"the engine of {device} refused its configuration: {reason}")

    def _ask(self, device: str, request: str) -> list[tuple[str, str]]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            try:
                connection.connect(str(SOCKETS / f"{device}.sock"))
                connection.sendall(request.encode())
                data = bytearray()
                while not data.endswith(b"\n\n"):
                    part = connection.recv(1 << 16)
                    if not part:
                        break
                    data += part
            except TimeoutError:
                raise Refused(f"the engine of {device} hangs; restart appliance-engine@{device}") from None
        return [_pair(line) for line in data.decode().splitlines() if line]

    def _device(self, answer: list[tuple[str, str]]) -> ObservedDevice:
        own: dict[str, str] = {}
        peers: dict[str, ObservedPeer] = {}
        fields: dict[str, str] = own
        allowed: list[str] = []

        def finish() -> None:
            if fields is not own:
                peer = _peer(fields, allowed)
                peers[peer.public_key] = peer

        for key, value in answer:
            if key == "public_key":
                finish()
                fields, allowed = {key: value}, []
            elif key == "allowed_ip":
                allowed.append(value)
            elif key != "errno":
                fields[key] = value
        finish()
        private = own.get("private_key", _NO_KEY)
        return ObservedDevice(
            public_key="" if private == _NO_KEY else self.public_key_of(bytes.fromhex(private)),
            listen_port=int(own.get("listen_port", "0")),
            mark=int(own.get("fwmark", "0")),
            peers=peers,
        )


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key, value


def _hex(key: str) -> str:
    return base64.b64decode(key).hex()


def _change_lines(keyed: KeyedChange) -> list[str]:
    change = keyed.change
    lines = [f"public_key={_hex(change.public_key)}"]
    if keyed.preshared_key is not None:
        lines.append(f"preshared_key={keyed.preshared_key.hex()}")
    if change.endpoint:
        lines.append(f"endpoint={change.endpoint}")
    if change.keepalive is not None:
        lines.append(f"persistent_keepalive_interval={change.keepalive}")
    if change.replace:
        lines.append("replace_allowed_ips=true")
    lines += [f"allowed_ip={network}" for network in change.allowed_ips or ()]
    return lines


def _peer(fields: Mapping[str, str], allowed: Sequence[str]) -> ObservedPeer:
    preshared = fields.get("preshared_key", _NO_KEY)
    seconds = int(fields.get("last_handshake_time_sec", "0"))
    nanoseconds = int(fields.get("last_handshake_time_nsec", "0"))
    return ObservedPeer(
        public_key=base64.b64encode(bytes.fromhex(fields["public_key"])).decode(),
        allowed_ips=frozenset(allowed),
        endpoint=fields.get("endpoint"),
        keepalive=int(fields.get("persistent_keepalive_interval", "0")),
        preshared_key="" if preshared == _NO_KEY else digest(bytes.fromhex(preshared)),
        last_handshake=seconds + nanoseconds / 1e9,
        received=int(fields.get("rx_bytes", "0")),
        sent=int(fields.get("tx_bytes", "0")),
    )


def remove_stale_socket(device: str) -> None:
    """A killed engine leaves its socket file behind."""
    with contextlib.suppress(FileNotFoundError):
        (SOCKETS / f"{device}.sock").unlink()
