"""A PPPoE session in a pair as it is flashed: pppd, and the kernel's PPP and WireGuard.

                 ┌──────────┐
                 │ provider │   a guest: Debian's pppoe-server, one session and no more; 203.0.113.1
                 │  laptop  │   behind it: wg-quick, 198.51.100.7
                 └────┬─────┘
        ┌─────────────┴──────┐
   ┌────┴────┐          ┌────┴────┐
   │  alpha  │          │  bravo  │   one hardware address, up on the master
   └────┬────┘          └────┬────┘
    lan │ .2             lan │ .3      192.168.10.1 moves
        └──────┬─────────────┘
           host │ .20

tests/labs/test_pair_pppoe.py tells the same story with stand-ins, and more of it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from signal import SIGINT
from tempfile import TemporaryFile
from typing import Self, cast

import pytest

from tests.images.office import PATIENCE, AsNode, is_well, put
from tests.images.two_boxes import YAML, Box, Surrounded, enrol, ready, two_boxes
from tests.lab import KeyPair, Lab, Node, capture, genkey, wait_for
from tests.labs.pppoe_provider import PASSWORD, USER, Provider
from tests.vm.cards import Card
from tests.vm.neighbour import Neighbour

WEB, LAPTOP, ADDRESS = "203.0.113.1", "10.20.0.2", "100.64.0.10"
INTERVAL = 0.1
LONGEST = 60.0
"""Seconds. A provider who is not told that the session has ended refuses another one for minutes."""
DIALLED = f"wan: {{device: enp0s16, address: pppoe, pppoe: {{user: {USER}, password: {{secret: provider}}}}}}"
TEXT = re.sub("wan: {device.*", DIALLED, YAML).replace("    wan: 203.0.113.10/24\n", "")
PEER = """\
[Interface]
PrivateKey = {private}
Address = {laptop}/32
[Peer]
PublicKey = {office}
Endpoint = {address}:51820
AllowedIPs = 10.20.0.1/32, 192.168.10.0/24
PersistentKeepalive = 5
"""


class Dialling(Surrounded):
    """Everything in the drawing."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        super().__init__(lab, folder)
        self.provider = self.beside = Neighbour(folder / "provider", [Card(self.wan, "provider", 20)])

    def start_provider(self) -> None:
        self.provider.sh(
            f"ip address add {WEB}/32 dev lo; ip link set eth0 up; sysctl -qw net.ipv4.ip_forward=1;"
            "ip netns add laptop; ip link add behind type veth peer name eth0 netns laptop;"
            "ip address add 198.51.100.1/24 dev behind; ip link set behind up;"
            "ip -n laptop address add 198.51.100.7/24 dev eth0; ip -n laptop link set eth0 up;"
            "ip -n laptop route add default via 198.51.100.1"
        )
        Provider(cast(Node, AsNode(self.provider)), "eth0", most=1).start()

    def start_laptop(self, laptop: KeyPair) -> None:
        office = self.alpha.sh("cat /data/appliance/keys/wg-office.pub").strip()
        text = PEER.format(private=laptop.private, laptop=LAPTOP, office=office, address=ADDRESS)
        put(self.provider, "/etc/wireguard/wg0.conf", text)
        self.provider.sh("ip netns exec laptop wg-quick up wg0")


class Pings:
    """Asks an address ten times a second, as one flow. `longest`, once it has ended: seconds without an answer."""

    def __init__(self, node: Node, address: str) -> None:
        self.node, self.address = node, address

    def __enter__(self) -> Self:
        self.said = TemporaryFile("w+")
        # Line by line, since the answers are waited for.
        words = ("stdbuf", "-oL", "ping", "-n", "-D", f"-i{INTERVAL}", self.address)
        self.process = self.node.popen(*words, stdout=self.said)
        return self

    def __exit__(self, *args: object) -> None:
        self.process.send_signal(SIGINT)
        self.process.wait(10)
        with self.said:
            # A gap that is still open counts, too.
            times = [*self._answers(), time.time()]
        self.longest = max((after - before for before, after in pairwise(times)), default=float("inf"))

    def flowing(self) -> None:
        """Waits until ten more answers than now have come."""
        before = len(self._answers())
        wait_for(lambda: len(self._answers()) >= before + 10, PATIENCE, f"{self.address} answers again")

    def _answers(self) -> list[float]:
        """When each came, in seconds since 1970 (ping(8), -D)."""
        # The place in the file is where ping goes on to write.
        said = os.pread(self.said.fileno(), 1 << 24, 0).decode()
        return [float(at) for at in re.findall(r"^\[(\d+\.\d+)\] 64 bytes", said, re.MULTILINE)]


def online(box: Box) -> None:
    """Waits until it has the session, and it is the kernel's."""
    has_it = f"ip -o -4 address show dev ppp-wan 2>/dev/null | grep -q ' {ADDRESS} '"
    said = f"{has_it} && grep -q lease-wan /proc/net/pppoe"
    box.sh(f'timeout {PATIENCE} sh -c "until {said}; do sleep 0.2; done"', PATIENCE + 60)


def settled(box: Box) -> None:
    """It has had the same session for ten seconds: an emulated box that stood still for a moment dials again."""
    box.sh(
        "n=0; while [ $n -lt 10 ]; do now=$(grep lease-wan /proc/net/pppoe || echo none);"
        ' if [ "$now" = "$last" ] && [ "$now" != none ]; then n=$((n + 1)); else n=0; fi; last=$now; sleep 1; done',
        PATIENCE,
    )


def silent(box: Box) -> None:
    box.sh("ip link show lease-wan")
    for busy in ("ip link show ppp-wan 2>/dev/null", "ip -o link show lease-wan | grep -q ',UP'", "pgrep -x pppd"):
        box.sh(f"while {busy}; do sleep 0.5; done", PATIENCE)


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Dialling]:
    with two_boxes("image-pair-pppoe", __doc__ or "", tmp_path, request.session, Dialling) as made:
        yield made


def test_a_session_that_two_flashed_boxes_have_in_turn(pair: Dialling) -> None:
    pair.boot()
    for box in pair.boxes:
        is_well(box)
    alpha, bravo = pair.boxes
    laptop = genkey()
    alpha.sh("mkdir -p -m 700 /data/appliance/secrets")
    put(alpha, "/data/appliance/secrets/provider", PASSWORD + "\n")
    # What is applied is confirmed by itself where the uplink works.
    pair.start_provider()
    enrol(alpha, bravo, TEXT.replace("BRANCH", laptop.public))
    pair.start_laptop(laptop)
    ready(bravo)
    online(alpha)
    silent(bravo)
    for address in (WEB, LAPTOP):
        pair.host.ping(address, timeout=PATIENCE)
    assert alpha.status()["tunnels"][0]["engine"] == "kernel"

    def handed(giver: Box, taker: Box) -> Callable[[], None]:
        def handover() -> None:
            giver.sh("until appliance handover; do sleep 1; done", PATIENCE)
            online(taker)
            silent(giver)

        return handover

    def power_cut() -> None:
        alpha.power_cut()
        online(bravo)

    def comes_back() -> None:
        alpha.boot()
        online(alpha)
        silent(bravo)

    events = [
        ("power cut of the master", power_cut, alpha, None),
        ("the preferred box boots and returns", comes_back, bravo, bravo),
        ("appliance handover", handed(alpha, bravo), alpha, alpha),
        ("appliance handover, back", handed(bravo, alpha), bravo, bravo),
    ]
    for event, happens, master, standby in events:
        settled(master)
        with capture(pair.wan, "br0", "pppoed", "-e") as said, Pings(pair.host, WEB) as web:
            with Pings(pair.host, LAPTOP) as tunnel:
                for each in (web, tunnel):
                    each.flowing()
                happens()
                for each in (web, tunnel):
                    each.flowing()
        print(f"{event}: longest gap, internet {web.longest:.1f} s, tunnel {tunnel.longest:.1f} s")
        ended_then_dialled(said.lines)
        assert max(web.longest, tunnel.longest) < LONGEST
        assert len(pair.provider.sh("ip -o link show type ppp").splitlines()) == 1
        if standby:
            ready(standby)


def ended_then_dialled(lines: list[str]) -> None:
    """The first that the provider heard was that the old session is over; then he was asked for a new one."""
    words = [word for line in lines for word in ("PADT", "PADI", "PADR") if word in line]
    assert words and words[0] == "PADT", lines
    assert "PADI" in words and words.index("PADI") < words.index("PADR"), lines
