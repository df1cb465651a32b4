"""What is known of the other box: its last hello, and whether it is there."""

from __future__ import annotations

from collections import deque

from appliance.core.takeover.hello import ACTIVE, NEVER, Hello, Stamp


class Partner:
    def __init__(self) -> None:
        self.hello: Hello | None = None
        self.heard_at = float("-inf")
        self.alive = False
        self.retired: deque[str] = deque(maxlen=8)

    def take(self, hello: Hello, now: float) -> bool:
        """False: the hello is doubled or late, and says nothing new."""
        last = self.hello
        if hello.incarnation in self.retired:
            return False
        if last is not None and hello.incarnation == last.incarnation and hello.sequence <= last.sequence:
            return False
        if last is not None and hello.incarnation != last.incarnation:
            self.retired.append(last.incarnation)
        self.hello, self.heard_at, self.alive = hello, now, True
        return True

    @property
    def active(self) -> bool:
        """It is there and says that it is master."""
        return self.alive and self.hello is not None and self.hello.role == ACTIVE

    @property
    def epoch(self) -> int:
        return self.hello.epoch if self.hello else 0

    @property
    def version(self) -> Stamp:
        return self.hello.version if self.hello else NEVER
