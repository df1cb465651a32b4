"""PPPoE where the kernel has no PPP: stand-ins for pppd, the kernel's sessions and the provider's end, which say the
same on the wire (tests/lab/programs/ppp.py)."""

from __future__ import annotations

import py_compile
from pathlib import Path

from tests.lab import Box, Node

OPEN_SESSIONS = "/run/appliance-pppoe/open-sessions"
"""What stands in for /proc/net/pppoe."""
_ADAPTERS = "/usr/lib/python3/dist-packages/appliance/adapters"
_PROGRAM = Path(__file__).parent.parent / "lab/programs/ppp.py"
_DROP_IN = "[Service]\nDeviceAllow=/dev/net/tun rw\n"


class StandIn:
    """A provider on `card` of `node`, whose own end has the address `local`: one session for each hardware address, no
    answer to who wants a second one, and whoever is silent for 20 s is forgotten."""

    def __init__(self, node: Node, card: str, local: str, lent: str) -> None:
        self.node = node
        self.lend(lent)
        server = node.popen("python3", str(_PROGRAM), "serve", card, local)
        assert server.stdout and server.stdout.readline() == "ready\n"

    def lend(self, address: str) -> None:
        """To whoever dials from now on."""
        self.node.put("/run/lend", address)


def stand_in_for_pppd(box: Box) -> None:
    """Lays the program in the place of pppd, and tells the product where its sessions are listed."""
    source = Path(f"/rootfs{_ADAPTERS}/pppoe.py").read_text()
    assert source.count('"/proc/net/pppoe"') == 1
    adapter, compiled, drop_in = (box.home / name for name in ("pppoe.py", "pppoe.pyc", "lab.conf"))
    adapter.write_text(source.replace("/proc/net/pppoe", OPEN_SESSIONS))
    py_compile.compile(str(adapter), str(compiled), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    drop_in.write_text(_DROP_IN)
    box.binds += [
        f"{_PROGRAM}:/usr/sbin/pppd",
        f"{adapter}:{_ADAPTERS}/pppoe.py",
        f"{compiled}:{_ADAPTERS}/__pycache__/pppoe.cpython-313.pyc",
        f"{drop_in}:/etc/systemd/system/appliance-pppoe@.service.d/lab.conf",
    ]
