"""The kernel's clock: what it says, whether something keeps it right, and setting it."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

from appliance.adapters import systemd

_STA_UNSYNC = 0x40
"""linux/timex.h: nobody keeps the clock in step; cleared by chrony while it does."""
_TIMEX_BYTES = 208
_STATUS = slice(40, 44) if ctypes.sizeof(ctypes.c_long) == 8 else slice(20, 24)

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Reading:
    """`wall` in seconds since 1970, `now` on the monotonic clock; `trusted`: the clock is synchronised."""

    wall: float
    now: float
    trusted: bool

    @property
    def offset(self) -> float:
        return self.wall - self.now


def read() -> Reading:
    return Reading(time.time(), time.monotonic(), synchronised())


def synchronised() -> bool:
    """Whether chrony has the clock in step (adjtimex(2), modes 0: reads only)."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if _libc.adjtimex(timex) < 0:
        return False
    return not int.from_bytes(timex.raw[_STATUS], "little") & _STA_UNSYNC


def step(wall: float) -> None:
    """Sets the clock to `wall`, seconds since 1970. Raises Refused.

    By a unit of its own, so that the supervisor needs no right to set clocks. It may start late; so it is told what the
    time was when the box booted.
    """
    systemd.start(systemd.clock_unit(wall - time.clock_gettime(time.CLOCK_BOOTTIME)))
