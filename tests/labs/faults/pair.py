"""Two boxes that should be one (tests/labs/pair.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from tests.lab import Box, wait_for
from tests.labs.faults.case import Cases
from tests.labs.office import in_order
from tests.labs.pair import HOST, LAN_ROUTER, Duo, pair, prefer_alpha
from tests.labs.wiring import configure

PAIR_CASES: Cases[Duo] = Cases()
fault = PAIR_CASES.fault
RULE = "  masquerade: [wan]"


def online(duo: Duo) -> Duo:
    """As it is built, with a name server in the internet."""
    duo.yaml = duo.yaml.replace("failover:", "dns: [203.0.113.1]\nfailover:", 1)
    duo.build()
    duo.internet.run("dnsmasq", "--no-resolv", "--no-hosts", "--pid-file=/run/dns.pid")
    return duo.boot()


def well(duo: Duo) -> None:
    """Waits until all is as it should be, before a fault and after it."""
    prefer_alpha(duo)
    duo.laptop.ping(HOST, timeout=30)
    for box in (duo.alpha, duo.bravo):
        wait_for(partial(_in_step, box), 30, f"{box.name} is in step")
        in_order(box, 20)


def _in_step(box: Box) -> bool:
    return bool((pair(box).get("partner") or {}).get("in_step"))


@contextmanager
def filtered(*boxes: Box, rule: str) -> Iterator[None]:
    """A table beside the product's, as a fault of the network between the boxes would be."""
    for box in boxes:
        box.nft(f"table inet fault {{ chain in {{ type filter hook input priority -300;\n{rule}\n}}\n}}")
    try:
        yield
    finally:
        for box in boxes:
            box.nft("table inet fault\ndelete table inet fault")


@fault("nothing: a pair's master")
def master(duo: Duo) -> Iterator[Box]:
    yield duo.alpha


@fault("nothing: a pair's standby")
def standby(duo: Duo) -> Iterator[Box]:
    yield duo.bravo


@fault("two masters", "two-masters", about=("bravo",))
def two_masters(duo: Duo) -> Iterator[Box]:
    """Where the pair link carries, one of them gives way by itself."""
    with filtered(duo.alpha, duo.bravo, rule="ip protocol 112 drop\nudp dport 51819 drop"):
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 15, "bravo is master, too")
        yield duo.alpha


@fault("partner not heard", "partner-silent", about=("bravo",))
def partner_silent(duo: Duo) -> Iterator[Box]:
    with filtered(duo.alpha, duo.bravo, rule="udp dport 51819 drop"):
        wait_for(lambda: not pair(duo.alpha)["partner"]["alive"], 15, "alpha does not hear bravo")
        yield duo.alpha


@fault("partner out of step", "out-of-step", about=("bravo",))
def out_of_step(duo: Duo) -> Iterator[Box]:
    """While they did not hear each other, each was given another file."""
    before = duo.alpha.run("appliance", "history", "1").stdout
    with filtered(duo.alpha, duo.bravo, rule="udp dport 51819 drop"):
        wait_for(lambda: not any(pair(box)["partner"]["alive"] for box in (duo.alpha, duo.bravo)), 15, "neither hears")
        for box, service in ((duo.alpha, "ssh"), (duo.bravo, "smtp")):
            configure(
                box, before.replace(RULE, f"    - {{from: office.branch, to: wan, services: [{service}]}}\n{RULE}")
            )
    wait_for(lambda: pair(duo.alpha)["partner"]["alive"], 15, "they hear each other again")
    try:
        yield duo.alpha
    finally:
        configure(duo.alpha, before)


@fault("virtual address taken", "address-taken", about=(LAN_ROUTER,))
def virtual_address_taken(duo: Duo) -> Iterator[Box]:
    with ExitStack() as off:
        printer = duo.lab.node("printer")
        printer.attach(duo.lan, "eth0", [f"{LAN_ROUTER}/24"])
        off.callback(printer.sh, f"ip address del {LAN_ROUTER}/24 dev eth0")
        yield duo.alpha
