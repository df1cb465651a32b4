"""With which peers data went both ways, and when last: what the byte counters of an engine say, and what they do not.

Pure: readings and the time go in. An engine counts handshakes and keepalives like data (receive.c and send.c of the
kernel's module, receive.go and send.go of wireguard-go), so a growing counter alone proves no data. What grew by
nothing but such messages is not counted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from appliance.core.silence import KEEPALIVE_BYTES
from appliance.core.state import ObservedDevice

# WireGuard whitepaper, section 5.4: initiation, response, cookie reply.
_INITIATION, _RESPONSE, _COOKIE = 148, 92, 64
_HANDSHAKE_SECONDS = 5.0
"""REKEY_TIMEOUT: no handshake is begun sooner after another."""
_KEEPALIVE_SECONDS = 10.0
"""KEEPALIVE_TIMEOUT. One that is configured may come more often, which nobody does."""
WINDOW_SECONDS = 4.0
"""A message of a handshake may be counted before the handshake is, so what grew is judged over so long at least."""
LONGEST_SECONDS = 60.0
"""Of a longer time between two looks nothing is concluded from a little."""


@dataclass(slots=True)
class _Way:
    count: int
    at: float
    data_at: float | None = None

    def note(self, count: int, now: float) -> None:
        if count < self.count:  # another engine, or the peer was added anew
            self.count, self.at = count, now
        elif count != self.count and not without_data(count - self.count, now - self.at):
            self.count, self.at, self.data_at = count, now, now
        elif now - self.at >= WINDOW_SECONDS:
            self.count, self.at = count, now


class Traffic:
    """Follows the counters of all peers."""

    def __init__(self) -> None:
        self.ways: dict[tuple[str, str], tuple[_Way, _Way]] = {}

    def note(self, devices: Mapping[str, ObservedDevice], now: float) -> None:
        """What the engines say at `now`, in seconds of a clock that only rises. A peer seen for the first time is where
        the counting begins."""
        ways = {}
        for device, state in devices.items():
            for key, peer in state.peers.items():
                received, sent = self.ways.get((device, key)) or (_Way(peer.received, now), _Way(peer.sent, now))
                received.note(peer.received, now)
                sent.note(peer.sent, now)
                ways[device, key] = received, sent
        self.ways = ways

    def begin(self, device: str, keys: Iterable[str], now: float) -> None:
        """These peers were added at `now`, and begin at nothing: data may come before the next look."""
        for key in keys:
            self.ways[device, key] = _Way(0, now), _Way(0, now)

    def both_ways(self, now: float, seconds: float) -> frozenset[tuple[str, str]]:
        """(device, public key) of the peers from which and to which data went in so many seconds before `now`."""
        since = now - seconds
        return frozenset(
            peer
            for peer, ways in self.ways.items()
            if all(way.data_at is not None and way.data_at >= since for way in ways)
        )


def without_data(count: int, seconds: float) -> bool:
    """Whether handshakes and keepalives alone can have made a counter grow by `count` bytes in so many seconds."""
    handshakes = 1 + int(min(seconds, LONGEST_SECONDS) / _HANDSHAKE_SECONDS)
    keepalives = 1 + int(seconds / _KEEPALIVE_SECONDS)
    most = handshakes * _INITIATION + _COOKIE + keepalives * KEEPALIVE_BYTES
    if count > most:
        return False
    if seconds > LONGEST_SECONDS:
        return True
    # Of each handshake one of the two goes each way.
    for begun, responses, cookies in product(range(handshakes + 1), range(handshakes + 1), range(2)):
        if responses > begun:
            continue
        initiations = begun - responses
        rest = count - initiations * _INITIATION - responses * _RESPONSE - cookies * _COOKIE
        if rest >= 0 and not rest % KEEPALIVE_BYTES and rest <= keepalives * KEEPALIVE_BYTES:
            return True
    return False
