"""The time floor on disk, setting the clock to it, and keeping both on a box that stands alone.

In a pair the takeover keeps them, with what the partner knows.
"""

from __future__ import annotations

import logging
import time
import zlib

from appliance.adapters import clock
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.core.takeover import Timers
from appliance.core.takeover.floor import Floor
from appliance.shell.paths import Paths

log = logging.getLogger("appliance.clock")


def stored_floor(paths: Paths) -> float:
    """Seconds since 1970; 0 when none was ever written, or a flipped bit would have the clock set by years."""
    try:
        seconds, checksum = paths.floor.read_bytes().split()
        return float(seconds) if checksum == _checksum(seconds) else 0.0
    except (OSError, ValueError):
        return 0.0


def known_time(paths: Paths) -> float:
    """What the time is at least, in seconds since 1970: the clock's where something keeps it right, otherwise that of
    the last handshakes that were written down (the floor on disk is written ahead of time)."""
    found = clock.read()
    return found.wall if found.trusted else max(0.0, stored_floor(paths) - Timers().floor_ahead)


def write_floor(paths: Paths, wall: float) -> None:
    """Raises Refused."""
    seconds = b"%.0f" % wall
    write_whole(paths.floor, seconds + b" " + _checksum(seconds) + b"\n", 0o644)


def _checksum(seconds: bytes) -> bytes:
    return b"%08x" % zlib.crc32(seconds)


def set_clock(wall: float) -> bool:
    """Whether the clock could be set to `wall`, seconds since 1970."""
    try:
        clock.step(wall)
    except Refused as error:
        log.error("the clock cannot be set: %s", error)
        return False
    log.warning("the clock was behind the last handshakes, and was set to %.0f", wall)
    return True


class LoneClock:
    """To be kept before the first tunnel is set up, and then at every beat."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.floor = Floor(Timers())
        found = clock.read()
        self.floor.start(stored_floor(paths), found.wall, found.trusted, found.now)

    def keep(self) -> None:
        """Sets a clock that is below the floor and that nothing keeps right, and writes the floor when it is time."""
        self._read()
        wall = self.floor.step(time.monotonic())
        if wall is not None:
            self.floor.stuck = not set_clock(wall)
            self._read()
        now = time.monotonic()
        self.floor.use(now)
        floor = self.floor.write(now)
        if floor is not None:
            try:
                write_floor(self.paths, floor)
            except (Refused, OSError) as error:
                log.warning("the time floor cannot be written: %s", error)

    @property
    def sentence(self) -> str:
        """For `status`; "" when nothing is wrong."""
        return self.floor.sentence(time.monotonic())

    def _read(self) -> None:
        found = clock.read()
        self.floor.clock(found.wall, found.trusted, found.now)
