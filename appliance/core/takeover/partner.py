"""What is known of the other box: its last hello, and whether it is there."""

from __future__ import annotations

from collections import deque

from appliance.core.takeover.hello import ACTIVE, NEVER, Hello, Stamp


class Partner:
    def __init__(self) -> None:
        self.hello: Hello | None = None
        self.heard_at = float("-inf")
        """Later than its last hello, where this box stood still and did not listen."""
        self.spoke_at = float("-inf")
        self.alive = False
        self.promoted_at = float("-inf")
        self.shaken_at = float("-inf")
        """Its last promotion, and its last handshake as master, on this box's clock; exact to the hello's way here."""
        self.uplinks: dict[str, float] = {}
        """Those of its uplinks that live, and when (hello.Living), on this box's clock."""
        self.served_at = float("-inf")
        """When it last said that it is master, and did not hand the role over."""
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
        promoted = now - hello.promoted_ago if hello.promoted_ago >= 0 else float("-inf")
        shaken = now - hello.shaken_ago if hello.shaken_ago >= 0 else float("-inf")
        if last is not None and (last.incarnation, last.held) == (hello.incarnation, hello.held):
            # The same promotion: the fastest hello knows best when it was, and a slow one must not make it look later.
            promoted = min(promoted, self.promoted_at)
            if ACTIVE not in (last.role, hello.role):
                shaken = min(shaken, self.shaken_at)
        self.promoted_at, self.shaken_at = promoted, shaken
        if hello.handing_over:
            self.served_at = float("-inf")
        elif hello.role == ACTIVE:
            self.served_at = now
        self.uplinks = {living.name: now - living.ago for living in hello.uplinks}
        self.hello, self.heard_at, self.spoke_at, self.alive = hello, now, now, True
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
