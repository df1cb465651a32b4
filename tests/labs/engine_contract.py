"""What both engines must do alike: the same steps in, the same values out. The kernel's is run in emulation."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

import pytest

from appliance.adapters.engine import Engine, KeyedChange
from appliance.adapters.errors import Refused
from appliance.adapters.keys import digest
from appliance.core.steps import PeerChange

PRIVATE = bytes([0x48, *range(1, 31), 0x41])
PSK = bytes(range(32))


def key(number: int) -> str:
    """A public key of nobody, different for each number."""
    return base64.b64encode(number.to_bytes(4, "big") + bytes(27) + b"\x05").decode()


def change(number: int, psk: bytes | None = None, **values: object) -> KeyedChange:
    return KeyedChange(PeerChange(f"office.p{number}", key(number), **values), psk)  # type: ignore[arg-type]


def sets_and_reads_the_device(engine: Engine, device: str) -> None:
    engine.set_device(device, PRIVATE, 51820, 0x5700)
    state = engine.read(device)
    assert state is not None
    assert (state.listen_port, state.mark, state.peers) == (51820, 0x5700, {})
    assert state.public_key
    engine.set_device(device, None, 51821, None)
    again = engine.read(device)
    assert again is not None
    assert (again.public_key, again.listen_port, again.mark) == (state.public_key, 51821, 0x5700)


def sets_and_reads_peers(engine: Engine, device: str) -> None:
    engine.set_device(device, PRIVATE, 51820, 0)
    engine.set_peers(
        device,
        [
            change(1, PSK, new=True, allowed_ips=("10.20.0.2/32", "192.168.20.0/24", "fd20::/64"), keepalive=25),
            change(2, new=True, allowed_ips=("0.0.0.0/0", "::/0"), endpoint="198.51.100.7:51820"),
            change(3, new=True, allowed_ips=(), endpoint="[2001:db8::7]:51820"),
        ],
        [],
    )
    state = engine.read(device)
    assert state is not None
    one, two, three = (state.peers[key(number)] for number in (1, 2, 3))
    assert one.allowed_ips == {"10.20.0.2/32", "192.168.20.0/24", "fd20::/64"}
    assert (one.keepalive, one.preshared_key, one.endpoint, one.last_handshake) == (25, digest(PSK), None, 0)
    assert (two.allowed_ips, two.endpoint, two.preshared_key) == ({"0.0.0.0/0", "::/0"}, "198.51.100.7:51820", "")
    assert (three.allowed_ips, three.endpoint) == (frozenset(), "[2001:db8::7]:51820")


def changes_only_what_it_is_told(engine: Engine, device: str) -> None:
    sets_and_reads_peers(engine, device)
    engine.set_peers(device, [change(1, allowed_ips=("10.77.0.0/16",)), change(2, keepalive=5)], [key(3)])
    state = engine.read(device)
    assert state is not None
    one, two = state.peers[key(1)], state.peers[key(2)]
    assert one.allowed_ips == {"10.20.0.2/32", "192.168.20.0/24", "fd20::/64", "10.77.0.0/16"}
    assert (one.keepalive, one.preshared_key) == (25, digest(PSK))
    assert (two.keepalive, two.endpoint) == (5, "198.51.100.7:51820")
    assert set(state.peers) == {key(1), key(2)}
    engine.set_peers(device, [change(1, bytes(32), allowed_ips=("10.20.0.2/32",), replace=True, keepalive=0)], [])
    state = engine.read(device)
    assert state is not None
    one = state.peers[key(1)]
    assert (one.allowed_ips, one.keepalive, one.preshared_key) == ({"10.20.0.2/32"}, 0, "")


def holds_a_thousand_peers(engine: Engine, device: str) -> None:
    engine.set_device(device, PRIVATE, 51820, 0)
    many: Sequence[KeyedChange] = [
        change(n, os.urandom(32), new=True, allowed_ips=(f"10.{n // 250}.{n % 250}.0/24", f"fd00:{n:x}::/64"))
        for n in range(1, 1001)
    ]
    engine.set_peers(device, many, [])
    state = engine.read(device)
    assert state is not None and len(state.peers) == 1000
    for keyed in many:
        peer = state.peers[keyed.change.public_key]
        assert peer.allowed_ips == set(keyed.change.allowed_ips or ())
        assert keyed.preshared_key is not None and peer.preshared_key == digest(keyed.preshared_key)
    engine.set_peers(device, [], [key(n) for n in range(1, 1001)])
    state = engine.read(device)
    assert state is not None and state.peers == {}


def holds_a_peer_with_many_networks(engine: Engine, device: str) -> None:
    """More than one netlink message holds, in both directions."""
    engine.set_device(device, PRIVATE, 51820, 0)
    networks = tuple(f"10.{n // 250}.{n % 250}.0/24" for n in range(2000))
    engine.set_peers(device, [change(1, new=True, allowed_ips=networks, replace=True)], [])
    state = engine.read(device)
    assert state is not None and state.peers[key(1)].allowed_ips == set(networks)


def says_nothing_of_a_device_that_is_not_there(engine: Engine) -> None:
    assert engine.read("wg-absent") is None


def refuses_in_a_sentence(engine: Engine) -> None:
    with pytest.raises(Refused, match="wg-absent"):
        engine.set_peers("wg-absent", [change(1, new=True)], [])


CONTRACT = (
    sets_and_reads_the_device,
    sets_and_reads_peers,
    changes_only_what_it_is_told,
    holds_a_thousand_peers,
    holds_a_peer_with_many_networks,
)
