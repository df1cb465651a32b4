"""A provider that speaks PPPoE: Debian's pppoe-server on the cable, a pppd for each session, and a name server."""

from __future__ import annotations

import py_compile
from pathlib import Path

from tests.lab import Box, Node, wait_for

USER, PASSWORD = "office@example.net", 'p"4 s\\s'
NAME_SERVER = "192.0.2.53"

_OPTIONS = f"""\
require-chap
name provider
noccp
mtu 1492
mru 1492
ms-dns {NAME_SERVER}
lcp-echo-interval 0
+ipv6
nolog
"""

STRICT = """\
lcp-echo-interval 5
lcp-echo-failure 3
"""
"""Whoever says nothing for 20 s is forgotten, and not sooner."""


class Provider:
    """Speaks on `card` of `node`; every session gets an address from 100.64.0.10 on.

    With `one` he has one session for each hardware address, and does not answer who wants a second one; it gets the
    address of `lend`. His sessions are the kernel's then, and his end hangs up when the other one does. `local` is the
    address of his end.
    """

    def __init__(self, node: Node, card: str, one: bool = False, local: str = "100.64.0.1") -> None:
        self.node, self.card, self.one, self.local = node, card, one, local
        node.put("/run/pppoe-options", _OPTIONS + (STRICT if one else ""), 0o600)
        self.lend("*")
        node.sh(f"ip address add {NAME_SERVER}/32 dev lo")
        node.run(
            *("dnsmasq", "--no-resolv", "--no-hosts", "--pid-file=/run/names.pid", f"--listen-address={NAME_SERVER}"),
            *("--bind-interfaces", "--address=/somewhere.example.net/192.0.2.99"),
        )

    def lend(self, address: str) -> None:
        """To whoever dials from now on."""
        self.node.put("/etc/ppp/chap-secrets", f'"{USER}" * "{_escaped(PASSWORD)}" {address}\n', 0o600)

    def start(self) -> None:
        [plugin] = Path("/usr/lib/pppd").glob("*/pppoe.so")
        self.server = self.node.popen(
            *("pppoe-server", "-F", "-I", self.card, "-L", self.local, "-R", "100.64.0.10", "-N", "4"),
            *("-C", "provider", "-O", "/run/pppoe-options"),
            *(("-x", "1", "-k", "-g", str(plugin)) if self.one else ()),
        )

    def stop(self) -> None:
        """Without a word to anybody, as a power cut does."""
        self.node.sh("pkill -KILL --ns $$ --nslist net 'pppoe|pppd' || true")
        self.server.wait(10)
        wait_for(lambda: not self.sessions(), 10, "the provider's sessions are gone")

    def sessions(self) -> str:
        return self.node.sh("ip -o link show type ppp")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


OPEN_SESSIONS = "/run/appliance-pppoe/open-sessions"
"""What stands in for /proc/net/pppoe."""
_ADAPTER = "/usr/lib/python3/dist-packages/appliance/adapters"
_PROGRAM = Path(__file__).parent.parent / "lab/programs/ppp.py"
_DROP_IN = "[Service]\nDeviceAllow=/dev/net/tun rw\n"


class StandIn(Provider):
    """The same provider where the kernel has no PPP: one session for each hardware address, without a password."""

    def __init__(self, node: Node, card: str, one: bool = True, local: str = "100.64.0.1") -> None:
        assert one
        super().__init__(node, card, one, local)

    def lend(self, address: str) -> None:
        self.node.put("/run/lend", address)

    def start(self) -> None:
        self.server = self.node.popen("python3", str(_PROGRAM), "serve", self.card, self.local)
        assert self.server.stdout and self.server.stdout.readline() == "ready\n"

    def stop(self) -> None:
        self.server.kill()
        self.server.wait()


def stand_in_for_pppd(box: Box) -> None:
    """Lays tests/lab/programs/ppp.py in the place of pppd, and tells the product where its sessions are listed."""
    source = Path(f"/rootfs{_ADAPTER}/pppoe.py").read_text()
    assert source.count('"/proc/net/pppoe"') == 1
    adapter, compiled, drop_in = (box.home / name for name in ("pppoe.py", "pppoe.pyc", "lab.conf"))
    adapter.write_text(source.replace("/proc/net/pppoe", OPEN_SESSIONS))
    py_compile.compile(str(adapter), str(compiled), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    drop_in.write_text(_DROP_IN)
    box.binds += [
        f"{_PROGRAM}:/usr/sbin/pppd",
        f"{adapter}:{_ADAPTER}/pppoe.py",
        f"{compiled}:{_ADAPTER}/__pycache__/pppoe.cpython-313.pyc",
        f"{drop_in}:/etc/systemd/system/appliance-pppoe@.service.d/lab.conf",
    ]
