"""The kernel's WireGuard, through generic netlink (include/uapi/linux/wireguard.h).

pyroute2 brings the message's layout; flags and numbers stand here because version 0.7 has some of them wrong
(WGPEER_F_REMOVE_ME is 1, not 0) and its `set` takes one peer at a time.
"""

from __future__ import annotations

import base64
import errno
import logging
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from appliance.adapters.engine import KeyedChange
from appliance.adapters.errors import Refused
from appliance.adapters.keys import digest
from appliance.adapters.pyroute2_parts import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    GenericNetlinkSocket,
    NetlinkError,
    wgmsg,
)
from appliance.core.peers import endpoint_parts, endpoint_text
from appliance.core.state import ObservedDevice, ObservedPeer

WG_CMD_GET_DEVICE = 0
WG_CMD_SET_DEVICE = 1
WGPEER_F_REMOVE_ME = 1 << 0
WGPEER_F_REPLACE_ALLOWEDIPS = 1 << 1
PEERS_A_MESSAGE = 64
"""A netlink attribute holds at most 64 KiB; a peer with a dozen networks takes some 500 bytes."""


def kernel_wireguard_present() -> bool:
    """Whether the kernel has WireGuard; asking for its netlink family loads the module where there is one."""
    generic = GenericNetlinkSocket()
    logging.disable()  # pyroute2 would log an error for what is an answer here
    try:
        generic.bind("wireguard", wgmsg)
    except (NetlinkError, OSError):
        return False
    finally:
        logging.disable(logging.NOTSET)
        generic.close()
    return True


class KernelEngine:
    def __init__(self) -> None:
        self.socket: Any = None

    def read(self, device: str) -> ObservedDevice | None:
        message = self._message(WG_CMD_GET_DEVICE, device)
        try:
            answers = self._socket().nlm_request(
                message, msg_type=self.socket.prid, msg_flags=NLM_F_REQUEST | NLM_F_DUMP
            )
            return _device(list(answers))
        except NetlinkError as error:
            if error.code in (errno.ENODEV, errno.EOPNOTSUPP):
                return None
            raise Refused(f"the kernel does not tell about {device}: {errno.errorcode.get(error.code)}") from None

    def set_device(self, device: str, private_key: bytes | None, port: int | None, mark: int | None) -> None:
        message = self._message(WG_CMD_SET_DEVICE, device)
        if private_key is not None:
            message["attrs"].append(["WGDEVICE_A_PRIVATE_KEY", base64.b64encode(private_key)])
        if port is not None:
            message["attrs"].append(["WGDEVICE_A_LISTEN_PORT", port])
        if mark is not None:
            message["attrs"].append(["WGDEVICE_A_FWMARK", mark])
        self._set(device, message)

    def set_peers(self, device: str, changes: Sequence[KeyedChange], removed: Sequence[str]) -> None:
        peers = [_removal(key) for key in removed] + [_change(keyed) for keyed in changes]
        for start in range(0, len(peers), PEERS_A_MESSAGE):
            message = self._message(WG_CMD_SET_DEVICE, device)
            message["attrs"].append(["WGDEVICE_A_PEERS", peers[start : start + PEERS_A_MESSAGE]])
            self._set(device, message)

    def _socket(self) -> Any:
        if self.socket is None:
            self.socket = GenericNetlinkSocket()
            try:
                self.socket.bind("wireguard", wgmsg)
            except (NetlinkError, OSError):
                self.socket = None
                raise Refused("the kernel has no WireGuard; write `engine: auto` or `engine: userspace`") from None
        return self.socket

    def _message(self, command: int, device: str) -> Any:
        self._socket()
        message = wgmsg()
        message["cmd"] = command
        message["version"] = 1
        message["attrs"] = [["WGDEVICE_A_IFNAME", device]]
        return message

    def _set(self, device: str, message: Any) -> None:
        try:
            self._socket().nlm_request(message, msg_type=self.socket.prid, msg_flags=NLM_F_REQUEST | NLM_F_ACK)
        except NetlinkError as error:
            reason = "its listen port is taken" if error.code == errno.EADDRINUSE else errno.errorcode.get(error.code)
            raise Refused(f"the kernel refused the configuration of {device}: {reason}") from None


def _removal(key: str) -> dict[str, Any]:
    return {"attrs": [["WGPEER_A_PUBLIC_KEY", key.encode()], ["WGPEER_A_FLAGS", WGPEER_F_REMOVE_ME]]}


def _change(keyed: KeyedChange) -> dict[str, Any]:
    change = keyed.change
    attributes: list[list[Any]] = [["WGPEER_A_PUBLIC_KEY", change.public_key.encode()]]
    if change.replace:
        attributes.append(["WGPEER_A_FLAGS", WGPEER_F_REPLACE_ALLOWEDIPS])
    if keyed.preshared_key is not None:
        attributes.append(["WGPEER_A_PRESHARED_KEY", base64.b64encode(keyed.preshared_key)])
    if change.endpoint:
        address, port = endpoint_parts(change.endpoint)
        attributes.append(["WGPEER_A_ENDPOINT", {"addr": address, "port": int(port), "flowinfo": 0, "scope_id": 0}])
    if change.keepalive is not None:
        attributes.append(["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", change.keepalive])
    if change.allowed_ips:
        attributes.append(["WGPEER_A_ALLOWEDIPS", [_allowed_ip(network) for network in change.allowed_ips]])
    return {"attrs": attributes}


def _allowed_ip(network: str) -> dict[str, Any]:
    address, _, length = network.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {
        "attrs": [
            ["WGALLOWEDIP_A_FAMILY", family],
            ["WGALLOWEDIP_A_IPADDR", socket.inet_pton(family, address)],
            ["WGALLOWEDIP_A_CIDR_MASK", int(length)],
        ]
    }


def _device(answers: list[Any]) -> ObservedDevice:
    """A dump of many peers comes in several messages; a peer with many networks may even span two of them."""
    first = answers[0]
    peers: dict[str, ObservedPeer] = {}
    for message in answers:
        for part in message.get_attr("WGDEVICE_A_PEERS") or ():
            peer = _peer(part)
            before = peers.get(peer.public_key)
            peers[peer.public_key] = _joined(before, peer) if before else peer
    key = first.get_attr("WGDEVICE_A_PUBLIC_KEY")
    return ObservedDevice(
        public_key=key.decode() if key else "",
        listen_port=first.get_attr("WGDEVICE_A_LISTEN_PORT") or 0,
        mark=first.get_attr("WGDEVICE_A_FWMARK") or 0,
        peers=peers,
    )


def _joined(first: ObservedPeer, rest: ObservedPeer) -> ObservedPeer:
    return ObservedPeer(
        first.public_key,
        first.allowed_ips | rest.allowed_ips,
        first.endpoint,
        first.keepalive,
        first.preshared_key,
        first.last_handshake,
        first.received,
        first.sent,
    )


def _peer(part: Any) -> ObservedPeer:
    endpoint = part.get_attr("WGPEER_A_ENDPOINT")
    preshared = part.get_attr("WGPEER_A_PRESHARED_KEY")
    raw = base64.b64decode(preshared) if preshared else bytes(32)
    handshake = part.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")
    return ObservedPeer(
        public_key=part.get_attr("WGPEER_A_PUBLIC_KEY").decode(),
        allowed_ips=frozenset(_networks(part)),
        endpoint=endpoint_text(endpoint["addr"], endpoint["port"]) if endpoint else None,
        keepalive=part.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or 0,
        preshared_key=digest(raw) if any(raw) else "",
        last_handshake=handshake["tv_sec"] + handshake["tv_nsec"] / 1e9 if handshake else 0.0,
        received=part.get_attr("WGPEER_A_RX_BYTES") or 0,
        sent=part.get_attr("WGPEER_A_TX_BYTES") or 0,
    )


def _networks(part: Any) -> Iterator[str]:
    for allowed in part.get_attr("WGPEER_A_ALLOWEDIPS") or ():
        family = allowed.get_attr("WGALLOWEDIP_A_FAMILY")
        packed = bytes.fromhex(allowed.get_attr("WGALLOWEDIP_A_IPADDR").replace(":", ""))
        yield f"{socket.inet_ntop(family, packed)}/{allowed.get_attr('WGALLOWEDIP_A_CIDR_MASK')}"
