"""What runs the WireGuard protocol, seen from above: one set of values, whether the kernel does it or a process.

Both engines take and give the same values (core/state.py, core/steps.py); tests/labs runs one suite against each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.core.state import ObservedDevice
from appliance.core.steps import PeerChange


@dataclass(frozen=True, slots=True)
class KeyedChange:
    """A change with the preshared key itself: 32 bytes, all zero to have none, None to leave it."""

    change: PeerChange
    preshared_key: bytes | None


class Engine(Protocol):
    def read(self, device: str) -> ObservedDevice | None:
        """The device as the engine has it; None when the engine does not answer for it (yet)."""

    def set_device(self, device: str, private_key: bytes | None, port: int | None, mark: int | None) -> None:
        """Sets what is not None. Raises Refused."""

    def set_peers(self, device: str, changes: Sequence[KeyedChange], removed: Sequence[str]) -> None:
        """Removes the peers with the public keys `removed`, then makes the changes. Raises Refused."""
