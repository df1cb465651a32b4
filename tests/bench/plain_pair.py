"""Two routers as one would build them from a how-to: stock keepalived, and the same tunnel up on both all the time.

Same drawing as ours (tests/labs/pair.py): keepalived with adverts every 1 s, one sync group of a wan and a lan instance
with a virtual address each, the preferred router with the higher priority; `wg-quick up` of one file on both;
forwarding and masquerading. The master's default route has the virtual address as its source: without that,
wireguard-go (here in place of the kernel's WireGuard) answers from the router's own address, and no peer behind NAT
hears it. Nothing of the product runs here.
"""

from __future__ import annotations

import subprocess

from tests.lab import Link, Node, WgPeer, wait_for, wg_quick_peer
from tests.labs.pair import HOST, REMOTE, Surroundings, has_virtual

NUMBERS = {"alpha": 2, "bravo": 3}
PRIORITIES = {"alpha": 150, "bravo": 100}

KEEPALIVED = """\
vrrp_sync_group office {{
    group {{
        wan
        lan
    }}
}}
vrrp_instance wan {{
    state {state}
    interface wan
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        203.0.113.10/24
    }}
    virtual_routes {{
        default via 203.0.113.1 dev wan src 203.0.113.10
    }}
}}
vrrp_instance lan {{
    state {state}
    interface lan
    virtual_router_id 52
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        192.168.10.1/24
    }}
}}
"""

TUNNEL = """\
[Interface]
PrivateKey = {private}
ListenPort = 51820
Address = 10.20.0.1/24
"""
PEER = """\
[Peer]
PublicKey = {public}
AllowedIPs = {address}/32
"""


class Router:
    """One of the two. A power cut takes its namespaces away; switching it on makes new ones with the same MACs."""

    def __init__(self, pair: PlainPair, name: str) -> None:
        self.pair = pair
        self.name = name
        self._keepalived: list[subprocess.Popen[str]] = []
        self.power_on()

    def power_on(self) -> None:
        number, keys = NUMBERS[self.name], self.pair.keys
        self.node: Node = self.pair.lab.node(self.name)
        self.wan: Link = self.node.attach(self.pair.wan, "wan", [f"203.0.113.{number}/24"])
        self.node.sh("ip route add default via 203.0.113.1 metric 100")
        self.lan: Link = self.node.attach(self.pair.lan, "lan", [f"192.168.10.{number}/24"])
        self.node.masquerade("wan")
        text = TUNNEL.format(private=keys["office"].private)
        text += "".join(PEER.format(public=keys[name].public, address=REMOTE[name]) for name in REMOTE)
        self.tunnel: WgPeer = wg_quick_peer(self.node, text)
        self.keepalived()

    def keepalived(self) -> None:
        """Starts it. Its files lie in the world's /tmp, which nodes share, so they bear the node's name."""
        state = "MASTER" if self.name == "alpha" else "BACKUP"
        stem = f"/tmp/plain-{self.name}"
        self.node.put(f"{stem}.conf", KEEPALIVED.format(state=state, priority=PRIORITIES[self.name]))
        options = f"--vrrp --dont-fork --log-console -f {stem}.conf --pid {stem}.pid --vrrp_pid {stem}-vrrp.pid"
        script = f"rm -f {stem}*.pid; exec keepalived {options} >>{stem}.log 2>&1"
        self._keepalived.append(self.node.popen("sh", "-c", script))

    def runs(self) -> bool:
        return bool(self.node.sh("pgrep -x keepalived", check=False))

    def kill(self) -> None:
        """kill -9 of all of keepalived; stock units do not start it again."""
        self.node.sh("kill -9 $(pgrep -x keepalived)")

    def terminate(self) -> None:
        self.node.sh("kill -TERM $(pgrep -o -x keepalived)")

    def power_cut(self) -> None:
        """SIGKILL to its PID 1: the kernel kills all the rest, and takes the links away."""
        self.node.log.line(f"[{self.name}] POWER CUT")
        self.pair.lab.members.pop(self.name).close()
        self.reap()

    def reap(self) -> None:
        """Forgets keepaliveds that have ended."""
        for process in [each for each in self._keepalived if each.poll() is not None]:
            assert process.stdout is not None
            process.stdout.close()
            self._keepalived.remove(process)


class PlainPair(Surroundings):
    def build(self) -> PlainPair:
        self.wire()
        self.alpha, self.bravo = Router(self, "alpha"), Router(self, "bravo")
        self.start_peers()
        return self

    def restore(self) -> None:
        """alpha is master again and bravo a standby that never served; all can be reached. Seconds, not measured."""
        self.alpha.wan.mend()
        self.alpha.lan.mend()
        for router in (self.alpha, self.bravo):
            router.reap()
            if not router.runs():
                router.keepalived()
        wait_for(self.alpha_alone, 20, "alpha has the virtual addresses alone")
        for tunnel in (self.bravo.tunnel, *self.peers):
            tunnel.down()
            tunnel.up()
        self.laptop.ping(HOST, timeout=20)
        self.branch.ping(HOST, timeout=20)
        self.host.ping("203.0.113.1", timeout=20)

    def alpha_alone(self) -> bool:
        return has_virtual(self.alpha.node) and not has_virtual(self.bravo.node)
