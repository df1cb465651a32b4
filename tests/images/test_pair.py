"""The labs' story of a pair once more, by two boxes as they are flashed and the kernel's WireGuard.

The drawing stands in tests/images/two_boxes.py. Outages are told as multiples of the round trip that the same path has
when nothing happens.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.images.office import LONG_AGO, PATIENCE, is_well
from tests.images.two_boxes import (
    BRANCH_HOST,
    CONNECTIONS,
    HOST,
    LAN_ROUTER,
    LONGEST_MS,
    SERVER,
    VIRTUAL,
    Box,
    Pair,
    ready,
    table,
    two_boxes,
    watch,
)
from tests.lab import Capture, Connections, capture, wait_for

LINE = re.compile(r"(?P<at>\d+\.\d+) (?P<mac>[0-9a-f:]{17}) > .*")
ADVERT_BEFORE, ADVERT_AFTER = 1.0, 0.1
"""Who says by VRRP that it is master may speak: for so many seconds around each advert. An emulated processor may keep
an advert waiting."""
ASKS_FOR_THE_OTHER = re.compile(r"who-has (?P<other>(203\.0\.113|192\.168\.10)\.[23]) tell \2\.[23],")
ASKS_AGAIN = 1.0
"""Adverts go to the other box alone. Without power it has no MAC address, soon, and what is seen of an advert is the
question for that, which the kernel puts once a second (neigh/default/retrans_time_ms); a box with power answers."""
AROUND = 1.0
"""Seconds before and after a stranger's packet of which the log tells."""


@contextmanager
def everything(pair: Pair) -> Iterator[list[Capture]]:
    """All that the tunnel, VRRP and ARP say on the two networks."""
    with ExitStack() as stack:
        what = "udp port 51820 or arp or ip proto 112"
        yield [stack.enter_context(capture(each, "br0", what, "-e", "-tt")) for each in (pair.wan, pair.lan)]


@dataclass
class Voices:
    """What the networks heard: how many packets a master sent, how often another one spoke for the tunnel than the one
    before, and the packets of boxes that had not said by VRRP that they are master, with all that was said `around` the
    first of these."""

    seen: int
    changes: int
    strangers: list[str]
    around: str


def voices(pair: Pair, captures: list[Capture]) -> Voices:
    names = {card.mac: box.name for box in pair.boxes for card in (box.wan, box.lan)}
    # Both networks as one story.
    found = [match for each in captures for line in each.lines if (match := LINE.match(line))]
    said = [(float(match["at"]), names[match["mac"]], match[0]) for match in found if match["mac"] in names]
    said.sort()
    adverts = {box.name: [at for at, name, line in said if name == box.name and "VRRP" in line] for box in pair.boxes}
    answers = [(at, line) for at, _, line in said if " is-at " in line]
    for at, name, line in said:
        if asked := ASKS_FOR_THE_OTHER.search(line):
            answer = f"Reply {asked['other']} is-at"
            if not any(at <= when <= at + ASKS_AGAIN and answer in reply for when, reply in answers):
                adverts[name] += [at, at + ASKS_AGAIN]
    for each in adverts.values():
        each.sort()
    masters = [each for each in said if ".51820 >" in each[2] or _answers_for_the_virtual(each[2])]
    speakers = [name for _, name, line in masters if ".51820 >" in line]
    strange, first = [], None
    for at, name, line in masters:
        following = bisect_right(adverts[name], at + ADVERT_AFTER)
        last = adverts[name][following - 1] if following else 0.0
        if at - last > ADVERT_BEFORE:
            strange.append(f"{name}, {at - last:.2f} s after its last advert: {line}")
            first = first or at
    changes = sum(one != two for one, two in pairwise(speakers))
    around = [f"{name}: {line}" for at, name, line in said if first and abs(at - first) < AROUND]
    return Voices(len(masters) - len(strange), changes, strange, "\n".join(around))


def _answers_for_the_virtual(line: str) -> bool:
    return any(f"Reply {each} is-at" in line or f" tell {each}," in line for each in (VIRTUAL, LAN_ROUTER))


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    with two_boxes("image-pair", __doc__ or "", tmp_path, request.session, Pair) as made:
        yield made


def test_a_pair_that_is_flashed(pair: Pair) -> None:
    times: list[tuple[str, float]] = [("", time.monotonic())]

    def done(what: str) -> None:
        times.append((what, time.monotonic()))

    pair.boot()
    done("both and the branch booted, for the first time")
    for box in pair.boxes:
        is_well(box)
    with everything(pair) as captures:
        pair.become_one()
        alpha, bravo = pair.boxes
        alpha.has_virtual(seconds=PATIENCE)
        ready(bravo)
        done("enrolled, a pair")
        _story(pair, done)
        heard = voices(pair, captures)
        if heard.strangers:
            pair.host.log.section("around the first stranger's packet", heard.around)
    print("\n".join(f"{after - before:6.0f} s  {what}" for (_, before), (what, after) in pairwise(times)))
    print(f"{heard.seen} packets of a master, {len(heard.strangers)} of anybody else; it changed {heard.changes} times")
    assert heard.seen > 1000 and not heard.strangers, heard.strangers[:5]


def _story(pair: Pair, done: Callable[[str], None]) -> None:
    alpha, bravo = pair.boxes
    for node, address in ((pair.host, BRANCH_HOST), (pair.branch_host, HOST), (pair.host, SERVER)):
        node.ping(address, timeout=60)
    for box in pair.boxes:
        assert box.status()["tunnels"][0]["engine"] == "kernel"
        assert "wireguard" in box.sh("ip -d link show wg-office")
        assert box.run("pgrep wireguard-go")[0] == 1
    assert bravo.pair()["role"] == "backup"

    phases: list[str] = []

    def noted(box: Box) -> None:
        took = {name: value for name, value in (box.pair().get("takeover") or {}).items() if name != "told"}
        phases.append(f"{box.name}'s takeover, s after keepalived's word: {took}")

    def power_cut() -> None:
        alpha.power_cut()
        bravo.has_virtual()

    def comes_back() -> None:
        # Without a battery clock, as a Raspberry Pi; the branch refuses a handshake that is older than bravo's.
        alpha.more = ["-rtc", f"base={LONG_AGO}"]
        alpha.boot()
        alpha.has_virtual(seconds=PATIENCE)
        assert int(alpha.sh("date +%s")) >= wall

    def handed(giver: Box, taker: Box) -> Callable[[], None]:
        def handover() -> None:
            giver.sh("until appliance handover; do sleep 1; done", PATIENCE)
            taker.has_virtual()

        return handover

    with (
        Connections(pair.host, pair.internet, SERVER, CONNECTIONS) as outward,
        Connections(pair.branch_host, pair.host, HOST, CONNECTIONS) as inside,
    ):
        for each in (outward, inside):
            each.opened()
        wall = int(alpha.sh("date +%s"))
        idle = watch(pair, "nothing", lambda: None)
        outages = [idle, watch(pair, "power cut of the master", power_cut)]
        done("power cut")
        wait_for(lambda: bravo.pair().get("role") == "master", 60, "bravo says that it is master")
        outages.append(watch(pair, "the preferred box boots and returns", comes_back))
        done("booted again and returned")
        noted(alpha)
        ready(bravo)
        outages.append(watch(pair, "appliance handover", handed(alpha, bravo)))
        noted(bravo)
        ready(alpha)
        outages.append(watch(pair, "appliance handover, back", handed(bravo, alpha)))
        done("handed over and back")
        noted(alpha)
        print("\n".join([table(outages, idle), *phases]))
        for each in (outward, inside):
            report = each.report
            assert (report.open, report.ended) == (CONNECTIONS, ()), report
    assert alpha.status()["tunnels"][0]["engine"] == "kernel"
    for outage in outages:
        gaps = {name: report.longest_gap_ms for name, report in outage.seen.items()}
        assert max(gaps.values()) < LONGEST_MS, (outage.event, gaps)
