"""Public keys: one peer each, in the one form that a handshake carries, and none that gives the session away."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from appliance.core.lint.site import Site
from appliance.core.problems import Path, Problem

FIELD = 2**255 - 19

LOW_ORDER = frozenset(
    {
        0,
        1,
        FIELD - 1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
    }
)
"""The points of order 1, 2, 4 and 8 of Curve25519 and its twist, reduced: with them every shared secret is zero."""


def lint(site: Site) -> Iterator[Problem]:
    seen: dict[int, tuple[str, str]] = {}
    for tunnel_name, peer_name, path, key in _keys(site):
        number = int.from_bytes(base64.b64decode(key), "little")
        # X25519 ignores the top bit and reduces the rest (RFC 7748, section 5): several texts are one key.
        point = (number & (2**255 - 1)) % FIELD
        if point in LOW_ORDER:
            message = "this key is a low-order point, with which anybody could read the tunnel"
            yield Problem(path, f"{message}; write the key that `wg pubkey` prints at the peer")
            continue
        if point != number:
            message = "this key is not in the form that a handshake carries, so the peer would never be recognised"
            yield Problem(path, f"{message}; write the key that `wg pubkey` prints at the peer")
        if point not in seen:
            seen[point] = (tunnel_name, peer_name)
            continue
        first = seen[point]
        if first[0] == tunnel_name:
            message = f"{tunnel_name}.{first[1]} has this key too, and the kernel would make one peer of the two"
        else:
            message = f"{first[0]}.{first[1]} has this key too, in another tunnel"
        yield Problem(path, f"{message}; write each peer's own key")


def _keys(site: Site) -> Iterator[tuple[str, str, Path, str]]:
    """Tunnel, peer, place and text of every public key, those that are being replaced included."""
    for tunnel_name, _, peer_name, peer in site.peers():
        path: Path = ("tunnels", tunnel_name, "peers", peer_name)
        yield tunnel_name, peer_name, (*path, "public_key"), peer.public_key
        if peer.replaces:
            yield tunnel_name, peer_name, (*path, "replaces", "public_key"), peer.replaces.public_key
