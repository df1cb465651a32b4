"""Whether this process runs at all: a thread that does nothing but look at the clocks.

An event loop that is late was busy itself, or was not given a processor, like everything else in the box. In the first
case the thread went on beating; or the interpreter was kept from it, and then the process has used its time.
"""

from __future__ import annotations

import threading
import time

from appliance.adapters.errors import Refused


class Pulse:
    """Beats from `start` on until `close`."""

    def __init__(self, every: float = 0.05) -> None:
        """`every`: seconds between two beats; what is missed is known to about that much, and rather less than more."""
        self.every = every
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last, self._used, self._longest = time.monotonic(), time.process_time(), 0.0
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        """Raises Refused."""
        self.missed()
        try:
            self._thread.start()
        except RuntimeError as error:
            raise Refused(f"the pair is not looked after yet: {error}") from None

    def close(self) -> None:
        self._ended.set()

    def missed(self) -> float:
        """The longest time in seconds in which the process did not run, since this was last asked."""
        with self._lock:
            self._look()
            longest, self._longest = self._longest, 0.0
            return longest

    def _beat(self) -> None:
        while not self._ended.wait(self.every):
            with self._lock:
                self._look()

    def _look(self) -> None:
        now, used = time.monotonic(), time.process_time()
        self._longest = max(self._longest, now - self._last - (used - self._used) - self.every)
        self._last, self._used = now, used
