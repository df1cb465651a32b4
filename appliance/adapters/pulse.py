"""Whether this process runs at all: a thread that does nothing but look at the monotonic clock.

An event loop that is late was busy itself, or was not given a processor, like everything else in the box. In the first
case the thread went on beating. Python hands it the interpreter every 5 ms, and in system calls at once.
"""

from __future__ import annotations

import threading
import time


class Pulse:
    """Beats from `start` on until `close`."""

    def __init__(self, every: float = 0.1) -> None:
        """`every`: seconds between two beats; what is missed is known to about that much."""
        self.every = every
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last, self._longest = time.monotonic(), 0.0
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        self._last = time.monotonic()
        self._thread.start()

    def close(self) -> None:
        self._ended.set()

    def missed(self) -> float:
        """The longest time in seconds without a beat since this was last asked."""
        with self._lock:
            now = time.monotonic()
            longest, self._longest, self._last = max(self._longest, now - self._last), 0.0, now
            return longest

    def _beat(self) -> None:
        while not self._ended.wait(self.every):
            with self._lock:
                now = time.monotonic()
                self._longest, self._last = max(self._longest, now - self._last), now
