"""A provider that speaks PPPoE: Debian's pppoe-server on the cable, a pppd for each session, and a name server."""

from __future__ import annotations

from tests.lab import Node, wait_for

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


class Provider:
    """Speaks on `card` of `node`; every session gets an address from 100.64.0.10 on, and there are so many."""

    def __init__(self, node: Node, card: str, most: int = 4) -> None:
        self.node, self.card, self.most = node, card, most
        node.put("/run/pppoe-options", _OPTIONS, 0o600)
        node.put("/etc/ppp/chap-secrets", f'"{USER}" * "{_escaped(PASSWORD)}" *\n', 0o600)
        node.sh(f"ip address add {NAME_SERVER}/32 dev lo")
        node.run(
            *("dnsmasq", "--no-resolv", "--no-hosts", "--pid-file=/run/names.pid", f"--listen-address={NAME_SERVER}"),
            *("--bind-interfaces", "--address=/somewhere.example.net/192.0.2.99"),
        )

    def start(self) -> None:
        self.server = self.node.popen(
            *("pppoe-server", "-F", "-I", self.card, "-L", "100.64.0.1", "-R", "100.64.0.10", "-N", str(self.most)),
            *("-C", "provider", "-O", "/run/pppoe-options"),
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
