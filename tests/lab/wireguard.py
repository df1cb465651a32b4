"""Stock WireGuard peers: what people have on their laptops, configured as they would, by wg-quick."""

import base64
import os
import re
import subprocess
from dataclasses import dataclass

from tests.lab.node import Node
from tests.lab.waiting import wait_for


@dataclass(frozen=True)
class KeyPair:
    private: str
    public: str


def genkey() -> KeyPair:
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
    return KeyPair(private.strip(), public.strip())


def genpsk() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@dataclass
class WgPeer:
    """A running wg-quick interface."""

    node: Node
    ifname: str

    def handshakes(self) -> dict[str, int]:
        """Public key of each peer: the second of its latest handshake, 0 for none."""
        lines = self.node.sh(f"wg show {self.ifname} latest-handshakes").splitlines()
        return {key: int(when) for key, when in (line.split("\t") for line in lines)}

    def wait_handshake(self, timeout: float = 10) -> None:
        wait_for(lambda: all(self.handshakes().values()), timeout, f"{self.node.name}'s peers have shaken hands")

    def endpoint(self, public_key: str) -> str:
        lines = self.node.sh(f"wg show {self.ifname} endpoints").splitlines()
        return dict(line.split("\t") for line in lines)[public_key]

    def down(self) -> None:
        self.node.run("wg-quick", "down", self.ifname)

    def up(self) -> None:
        self.node.run("wg-quick", "up", self.ifname)


def wg_quick_peer(node: Node, conf: str, ifname: str = "wg0") -> WgPeer:
    """Bring `conf`, the text of a wg-quick file, up on `node`.

    wg-quick takes the kernel's WireGuard where there is one and wireguard-go where there is not; a peer of ours
    may be either. Its files and its control socket lie in the node's own mount namespace.
    """
    assert re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}", ifname), f"wg-quick refuses the name {ifname}"
    node.put(f"/etc/wireguard/{ifname}.conf", conf, 0o600)
    peer = WgPeer(node, ifname)
    peer.up()
    return peer
