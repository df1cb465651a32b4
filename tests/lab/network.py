"""A lab as a whole: what it is made of, and its end."""

from types import TracebackType
from typing import Self

from tests.lab.box import Box
from tests.lab.log import Log
from tests.lab.namespace import Namespace
from tests.lab.node import Line, Node, Switch


class Lab:
    """Makes switches, nodes and boxes, and takes them away again in the reverse order."""

    def __init__(self, name: str, drawing: str = "") -> None:
        self.log = Log(name, drawing)
        self.members: dict[str, Namespace] = {}

    def switch(self, name: str, mtu: int = 1500) -> Switch:
        switch = Switch(name, self.log, mtu)
        self._add(switch)
        return switch

    def line(self, name: str, milliseconds: float) -> Line:
        """A cable for exactly two ends that delays each way; 0 is an ordinary switch's time."""
        line = Line(name, self.log, milliseconds)
        self._add(line)
        return line

    def node(self, name: str) -> Node:
        node = Node(name, self.log)
        self._add(node)
        return node

    def box(self, name: str) -> Box:
        """A box that is not wired and not booted yet: attach() its links, put() its files, boot() it."""
        box = Box(name, self.log)
        self._add(box)
        return box

    def _add(self, member: Namespace) -> None:
        assert member.name not in self.members, f"there is a {member.name} already"
        self.members[member.name] = member

    def dump(self) -> None:
        """After a failure: journals, rulesets, addresses and routes of everything into the log."""
        for member in self.members.values():
            if isinstance(member, Node):
                try:
                    member.dump()
                except (AssertionError, OSError) as broken:
                    self.log.line(f"[{member.name}] could not be asked: {broken}")

    def close(self) -> None:
        while self.members:
            self.members.popitem()[1].close()
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is not None:
            self.log.section("failed", f"{kind and kind.__name__}: {error}")
            self.dump()
        self.close()
