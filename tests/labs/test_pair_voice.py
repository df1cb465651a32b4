"""One voice: whatever happens to a pair, only its master sends WireGuard and answers for a virtual address.

The drawing stands in tests/labs/pair.py. Everything that passes the two switches is recorded, from before the boxes
have power to the end. Each step says who is master; in between, while the role moves, both may be, for as long as that
takes. The pair link has a port of its own, and may be used by both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.lab import Box, Capture, Lab, Probe, capture, wait_for, wg_quick_peer
from tests.labs.dual_stack import DualStack
from tests.labs.pair import (
    BRANCH,
    HOST,
    LAN_ROUTER,
    LAPTOP,
    VIRTUAL,
    Duo,
    hand_over,
    has_virtual,
    pair,
    prefer_alpha,
    tunnel_is_down,
)

WHAT = "udp port 51820 or arp or (icmp6 and (ip6[40] == 135 or ip6[40] == 136))"
VIRTUAL6, LAN_ROUTER6 = "2001:db8:1::10", "2001:db8:10::1"
CALLER = """\
[Interface]
PrivateKey = {}
Address = 10.99.0.1/24
[Peer]
PublicKey = {}
Endpoint = {}:51820
AllowedIPs = 10.99.0.0/24
"""
OUTSIDE6 = "2001:db8:1::1"
"""Of the internet, where nobody listens."""
LINE = re.compile(r"(?P<at>\d+\.\d+) (?P<mac>[0-9a-f:]{17}) > .*")


@dataclass
class Voice:
    """Who may speak from when on: the names of the boxes."""

    duo: Duo
    spoken: list[tuple[float, frozenset[str]]] = field(default_factory=list)

    def may(self, *boxes: Box) -> None:
        self.spoken.append((time.time(), frozenset(box.name for box in boxes)))

    def strangers(self, captures: list[Capture]) -> list[str]:
        """The packets of those who had to be silent."""
        names = {link.mac: box.name for box in (self.duo.alpha, self.duo.bravo) for link in box.links}
        found = []
        for line in (line for each in captures for line in each.lines):
            match = LINE.match(line)
            name = names.get(match["mac"]) if match else None
            if match and name and _of_the_master(line):
                allowed = next((who for at, who in reversed(self.spoken) if at <= float(match["at"])), frozenset())
                found += [] if name in allowed else [f"{name}: {line}"]
        return found


def _of_the_master(line: str) -> bool:
    """A tunnel's packet, or ARP and neighbour discovery in the name of a virtual address."""
    if "ICMP6" in line:
        return any(f" {each} > " in line or f"tgt is {each}," in line for each in (VIRTUAL6, LAN_ROUTER6))
    if "ARP" not in line:
        return ".51820" in line
    return any(f"Reply {each} is-at" in line or f" tell {each}," in line for each in (VIRTUAL, LAN_ROUTER))


@contextmanager
def everything(duo: Duo) -> Iterator[list[Capture]]:
    """A switch's own interface hears all that passes, while it is asked to (promiscuous)."""
    with ExitStack() as stack:
        yield [stack.enter_context(capture(each, "br0", WHAT, "-e", "-tt")) for each in (duo.wan, duo.lan)]


def quiet(duo: Duo, probe: Probe, what: str) -> None:
    """The office goes on for a while, and the other box had every occasion to speak."""
    probe.flowing(timeout=30, packets=150)
    duo.lab.log.line(f"-- {what}: over")


def is_called_in_vain(duo: Duo, box: Box) -> None:
    """A box whose tunnel is up: it has something to say to its peers, of both IP versions, and its own address, which
    did not move, is called."""
    branch = duo.keys["branch"]
    for peer in (BRANCH, LAPTOP):
        box.run("ping", "-n", "-c20", "-i0.05", "-W0.2", peer, check=False)
    box.sh(f"wg set wg-office peer {branch.public} endpoint [{OUTSIDE6}]:51820")
    box.run("ping", "-n", "-c20", "-i0.05", "-W0.2", BRANCH, check=False)
    for end in ("203.0.113.2", "[2001:db8:1::2]"):
        # From elsewhere with the branch's key, so that the branch itself is not disturbed.
        caller = wg_quick_peer(duo.internet, CALLER.format(branch.private, duo.keys["office"].public, end), "caller")
        duo.internet.run("ping", "-n", "-c5", "-i0.1", "-W0.2", "10.99.0.2", check=False)
        caller.down()


def test_nobody_but_the_master_speaks() -> None:
    with Lab("pair-voice", __doc__ or "") as lab:
        duo = DualStack(lab).build()
        alpha, bravo, voice = duo.alpha, duo.bravo, Voice(duo)
        with everything(duo) as captures:
            voice.may(alpha)
            alpha.boot()
            duo.start_peers()
            wait_for(lambda: pair(alpha).get("role") == "master", 20, "alpha is master")
            with Probe(duo.branch, duo.host, HOST, 0.01) as probe:
                quiet(duo, probe, "alpha alone")
                bravo.boot()
                prefer_alpha(duo)
                quiet(duo, probe, "the standby boots")
                for link in bravo.links:
                    link.cut()
                    quiet(duo, probe, f"the standby's {link.ifname} is out")
                    link.mend()
                    prefer_alpha(duo)
                    quiet(duo, probe, f"the standby's {link.ifname} is in again")
                for link in bravo.links:
                    link.cut()
                quiet(duo, probe, "the standby hears nobody")
                for link in bravo.links:
                    link.mend()
                prefer_alpha(duo)
                quiet(duo, probe, "it hears alpha again")
                bravo.sh("systemctl stop appliance")
                quiet(duo, probe, "the standby's supervisor is dead")
                bravo.sh("systemctl start appliance")
                prefer_alpha(duo)
                alpha.sh("kill -9 $(systemctl show --property=MainPID --value appliance)")
                quiet(duo, probe, "the master's supervisor is dead")
                prefer_alpha(duo)

                # Nobody is there to mute alpha's tunnels, into which it has something to say itself.
                voice.may(alpha, bravo)
                alpha.sh("systemctl stop appliance; systemctl stop appliance-vrrp")
                duo.settled(bravo)
                wait_for(lambda: not has_virtual(alpha), 10, "alpha lost the role", 0.02)
                voice.may(bravo)
                is_called_in_vain(duo, alpha)
                quiet(duo, probe, "a box without a supervisor lost the role")
                voice.may(alpha, bravo)
                alpha.sh("systemctl start appliance")
                prefer_alpha(duo)
                voice.may(alpha)
                quiet(duo, probe, "it has a supervisor again")

                voice.may(alpha, bravo)
                hand_over(alpha, "bravo")
                duo.settled(bravo)
                voice.may(bravo)
                quiet(duo, probe, "handed over")
                voice.may(alpha, bravo)
                hand_over(bravo, "alpha")
                prefer_alpha(duo)
                voice.may(alpha)
                quiet(duo, probe, "handed back")

                # Both were masters when they met, so the one that wins announces itself; and loses soon afterwards.
                voice.may(alpha, bravo)
                before = time.time()
                alpha.sh("kill -9 $(pgrep -x keepalived)")
                wait_for(lambda: has_virtual(bravo), 10, "bravo has the virtual address", 0.02)
                wait_for(lambda: has_virtual(alpha) and not has_virtual(bravo), 10, "alpha has it again", 0.02)
                wait_for(lambda: tunnel_is_down(bravo), 10, "bravo is silent", 0.02)
                voice.may(alpha)
                quiet(duo, probe, "the master's keepalived was killed, and it took the role again")
                for address in (VIRTUAL6, LAN_ROUTER6):
                    told = [line for each in captures for line in each.matching(f"tgt is {address},")]
                    assert any(float(line.split()[0]) > before for line in told), f"nobody announced {address}"
                prefer_alpha(duo)

                voice.may(alpha, bravo)
                alpha.links[0].cut()
                duo.settled(bravo)
                voice.may(bravo)
                quiet(duo, probe, "the master's uplink is out")
                voice.may(alpha, bravo)
                alpha.links[0].mend()
                prefer_alpha(duo)
                voice.may(alpha)
                quiet(duo, probe, "its uplink is in again")

                # Bravo may be master before the harness has ended the last of alpha's processes.
                voice.may(alpha, bravo)
                alpha.power_cut()
                voice.may(bravo)
                wait_for(lambda: pair(bravo).get("role") == "master", 10, "bravo is master")
                quiet(duo, probe, "the master is without power")
                alpha.boot()
                prefer_alpha(duo)
                # It was silent until keepalived elected it.
                voice.spoken.append((_elected(alpha), frozenset({"alpha", "bravo"})))
                voice.may(alpha)
                quiet(duo, probe, "it is back")
        seen = [line for each in captures for line in each.lines if LINE.match(line) and _of_the_master(line)]
        assert len(seen) > 1000, "the switches heard the tunnel"
        assert not (strangers := voice.strangers(captures)), (len(strangers), strangers[:5])
        print(f"{len(seen)} packets of a master, none of anybody else")


def _elected(box: Box) -> float:
    """When its keepalived became master for the first time since the box booted; seconds since 1970."""
    words = "Entering MASTER STATE"
    said = box.run("journalctl", "--no-pager", "--output=short-unix", "-u", "appliance-vrrp", "--grep", words).stdout
    return min(float(line.split()[0]) for line in said.splitlines())
