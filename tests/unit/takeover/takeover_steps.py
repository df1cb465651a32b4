"""One box in the hands of a test: events by name, actions as words."""

from __future__ import annotations

from typing import Any

from appliance.core.takeover import Machine, Timers
from appliance.core.takeover import actions as a
from appliance.core.takeover import events as e
from appliance.core.takeover.hello import Hello

WALL = 1_000_000.0


class Bench:
    """A box named `beta`, at 10.0 s; its partner is `alpha`."""

    def __init__(self, peers: int = 3, keepalive: int = 0, preferred: bool = False, engine: str = "userspace") -> None:
        self.now = 10.0
        self.machine = Machine("beta", "one", preferred, Timers())
        self.names = [f"office.p{n:04}" for n in range(peers)]
        self.partner = 0
        configured = tuple(e.Peer(name, keepalive, engine) for name in self.names)
        self.tell(e.ConfigurationChanged("digest", 7, configured, self.now))

    def tell(self, event: e.Event) -> tuple[a.Action, ...]:
        done = self.machine.handle(event)
        if only(a.StartKeepalived, done):
            # As the supervisor does, before it reads another word.
            done += self.machine.handle(e.KeepalivedStarted(self.now))
        return done

    def later(self, seconds: float) -> tuple[a.Action, ...]:
        """Ticks at every deadline until so much later; all that was to be done meanwhile."""
        done: list[a.Action] = []
        end = self.now + seconds
        while (at := self.machine.next_deadline) is not None and at <= end:
            self.now = at
            done += self.tell(e.Tick(at))
        self.now = end
        return tuple(done)

    def start(self, **more: Any) -> tuple[a.Action, ...]:
        done = self.tell(e.Started(**{"now": self.now, "wall": WALL + self.now, "trusted": True, **more}))
        for _ in range(2):  # the first question, and what came of it: it has no gateway to ask
            self.tell(e.UplinksRead({}, self.now))
        return done

    def hear(self, role: str = "backup", epoch: int = 0, **more: Any) -> tuple[a.Action, ...]:
        self.partner += 1
        fields = {"digest": "digest", "generation": 7, "ready": True, "incarnation": "alpha-1"}
        hello = Hello(**{"box": "alpha", "sequence": self.partner, "role": role, "epoch": epoch, **fields, **more})
        return self.tell(e.PartnerHello(hello, self.now))

    def vrrp(self, state: str) -> tuple[a.Action, ...]:
        return self.tell(e.Vrrp(state, self.now))

    def booted(self, **more: Any) -> None:
        self.start(**more)
        self.later(1.5)
        self.tell(e.KeepalivedStarted(self.now))
        self.vrrp("BACKUP")

    def master(self) -> tuple[a.Action, ...]:
        self.booted()
        return self.vrrp("MASTER")

    def read(self, *shaken: str) -> tuple[a.Action, ...]:
        """A reading in which these peers have a handshake of this moment."""
        wall = WALL + self.now
        return self.tell(e.PeersRead({name: e.Reading("192.0.2.9:9", wall, 1, 1) for name in shaken}, self.now))


def kinds(done: tuple[a.Action, ...]) -> list[str]:
    """Without what is done all the time."""
    always = a.TellPartner | a.ReadPeers | a.AskUplinks | a.Note
    return [type(action).__name__ for action in done if not isinstance(action, always)]


def only[T](kind: type[T], done: tuple[a.Action, ...]) -> list[T]:
    return [action for action in done if isinstance(action, kind)]
