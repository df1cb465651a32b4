"""What is wrong around a pair is said by `status` in a sentence, and the office goes on.

The drawing stands in tests/labs/pair.py. A third VRRP router, a line that loses adverts, a partner of another release,
and a pair network that is down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import Box, Lab, wait_for
from tests.labs.pair import HOST, LAN_ROUTER, Duo, pair, prefer_alpha

STRANGER = "192.168.10.77"
ROUTER = """\
vrrp_instance other {{
    state MASTER
    interface eth0
    virtual_router_id {number}
    priority 100
    advert_int 1
    virtual_ipaddress {{
        192.168.10.78/24
    }}
}}
"""
HELLO = """\
import json, socket
sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sender.bind(("{own}", 0))
sender.sendto(json.dumps({{"schema": 9, "box": "bravo"}}).encode(), ("{other}", 51818))
"""

HEARD = """\
import socket
ear = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
ear.settimeout(10)
while True:
    packet = ear.recv(256)
    if socket.inet_ntoa(packet[12:16]) == "{source}":
        print(packet[20:].hex())
        break
"""

FORGED = """\
import socket, struct, time
boxes = [socket.inet_aton(each) for each in ("192.168.10.2", "192.168.10.3")]
advert = bytearray.fromhex("{advert}")
advert[2:3], advert[6:8] = b"\\xfe", bytes(2)  # the highest priority that a router without the addresses may have
mouth = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for _ in range(600):
    for source, target in (boxes, boxes[::-1]):
        # RFC 9568, 5.2.8: the checksum counts a pseudo-header, too.
        words = source + target + struct.pack("!BBH", 0, 112, len(advert)) + advert
        total = sum(struct.unpack(f"!{{len(words) // 2}}H", words))
        total = (total & 0xFFFF) + (total >> 16)
        told = advert[:6] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + advert[8:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(told), 1, 0, 255, 112, 0, source, target)
        mouth.sendto(head + told, (socket.inet_ntoa(target), 0))
    time.sleep(0.05)
"""

ASK = """\
import json, socket
asked = socket.create_connection(("{other}", 51818), 2, ("{own}", 0))
asked.sendall(json.dumps({{"verb": "generation"}}).encode() + b"\\n")
print(asked.makefile().readline())
"""


@pytest.fixture(scope="module")
def duo() -> Iterator[Duo]:
    with Lab("pair-bad-input", __doc__ or "") as lab:
        yield Duo(lab).build().boot()


def notes(box: Box) -> str:
    """As a person reads them."""
    return " ".join(box.run("appliance", "status", check=False).stdout.split())


def says(box: Box, sentence: str, seconds: float = 20) -> None:
    wait_for(lambda: sentence in notes(box), seconds, f"{box.name} says: {sentence}", 0.2)


def serves(duo: Duo) -> None:
    duo.branch.ping(HOST, timeout=20)
    duo.host.ping(LAN_ROUTER)


@contextmanager
def filtered(box: Box, rule: str) -> Iterator[None]:
    """A table beside the product's, as a fault of the network would be."""
    box.nft(f"table inet fault {{ chain in {{ type filter hook input priority -300;\n{rule}\n}}\n}}")
    try:
        yield
    finally:
        box.nft("table inet fault\ndelete table inet fault")


def test_somebody_else_uses_the_router_id(duo: Duo) -> None:
    prefer_alpha(duo)
    other = duo.lab.node("other")
    other.attach(duo.lan, "eth0", [f"{STRANGER}/24"])
    other.put("/tmp/other.conf", ROUTER.format(number=50))
    command = (
        "keepalived --vrrp --dont-fork --log-console -f /tmp/other.conf --pid /tmp/other.pid --vrrp_pid /tmp/v.pid"
    )
    with_other_id = other.popen("sh", "-c", f"exec {command} >/dev/null 2>&1")
    wait_for(lambda: "192.168.10.78" in other.sh("ip address"), 10, "the third router is master of its own")
    assert "sends VRRP" not in notes(duo.alpha) + notes(duo.bravo)
    with_other_id.kill()
    with_other_id.wait()
    other.sh("pkill -9 -x keepalived || true; rm -f /tmp/other.pid /tmp/v.pid")
    other.put("/tmp/other.conf", ROUTER.format(number=51))
    same = other.popen("sh", "-c", f"exec {command} >/dev/null 2>&1")
    for box in (duo.alpha, duo.bravo):
        says(box, f"{STRANGER} on lan sends VRRP with router ID 51, too; write another failover.virtual_router_id")
    assert duo.master() is duo.alpha
    lines = duo.alpha.journal("SYSLOG_IDENTIFIER=appliance", "-o", "json").splitlines()
    amiss = [entry["MESSAGE"] for entry in map(json.loads, lines) if entry.get("TOPIC")]
    assert any(STRANGER in each for each in amiss), amiss
    serves(duo)
    same.kill()
    same.wait()
    other.sh("pkill -9 -x keepalived || true")


def test_a_device_in_the_office_speaks_in_the_name_of_both(duo: Duo) -> None:
    """VRRP knows no secret: adverts of a better master that look as if they came from the other box make both wait."""
    prefer_alpha(duo)
    duo.bravo.put("/run/heard.py", HEARD.format(source="192.168.10.2"))
    advert = duo.bravo.run("python3", "/run/heard.py").stdout.strip()
    duo.host.put("/tmp/forged.py", FORGED.format(advert=advert))
    forger = duo.host.popen("python3", "/tmp/forged.py")
    for box in (duo.alpha, duo.bravo):
        says(box, "neither box is master, though they hear each other: somebody on a network of the pair sends VRRP")
    forger.kill()
    forger.wait()
    prefer_alpha(duo)
    wait_for(lambda: "neither box" not in notes(duo.alpha) + notes(duo.bravo), 10, "that is over", 0.2)
    serves(duo)


def test_a_partner_of_another_release(duo: Duo) -> None:
    """Bravo's hellos do not arrive any more; in their place come such of another schema, from the same address."""
    prefer_alpha(duo)
    own, other = (next(iter(_pair_address(box))) for box in (duo.bravo, duo.alpha))
    with filtered(duo.alpha, "udp dport 51818 udp length > 100 drop"):
        duo.bravo.put("/run/hello.py", HELLO.format(own=own, other=other))
        duo.bravo.run("python3", "/run/hello.py")
        says(duo.alpha, "this one speaks version 1, the other 9")
        says(duo.alpha, "this box serves alone until this box has the newer release")
        assert pair(duo.alpha)["role"] == "master"
        serves(duo)
    wait_for(lambda: "speaks version" not in notes(duo.alpha), 10, "they understand each other again", 0.2)


def test_who_has_no_rights_on_a_box_does_not_speak_to_its_partner(duo: Duo) -> None:
    """The partner answers what comes out of the pair link with the configuration and its keys."""
    own, other = (next(iter(_pair_address(box))) for box in (duo.bravo, duo.alpha))
    duo.bravo.put("/run/ask.py", ASK.format(own=own, other=other))
    assert "generation" in duo.bravo.run("python3", "/run/ask.py").stdout
    nobody = duo.bravo.run("setpriv", "--reuid=65534", "--clear-groups", "python3", "/run/ask.py", check=False)
    assert nobody.stdout == "" and "TimeoutError" in nobody.stderr, nobody


def test_a_pair_network_that_is_down(duo: Duo) -> None:
    """Adverts go through, the pair link does not: the master goes on, and each says that it stands alone."""
    prefer_alpha(duo)
    with filtered(duo.bravo, "udp dport 51819 drop"), filtered(duo.alpha, "udp dport 51819 drop"):
        for box, other in ((duo.alpha, "bravo"), (duo.bravo, "alpha")):
            says(box, f"{other} is not heard on the pair link; this box serves alone")
        assert "does not hear the other box" in " ".join(pair(duo.bravo)["not_ready"])
        assert duo.master() is duo.alpha
        serves(duo)
    prefer_alpha(duo)
    assert "not heard on the pair link" not in notes(duo.alpha)


def test_adverts_that_the_line_loses(duo: Duo) -> None:
    """Most adverts are lost on the way to bravo, which is elected now and then although alpha is there."""
    prefer_alpha(duo)
    with filtered(duo.bravo, "ip protocol 112 numgen random mod 100 < 75 drop"):
        says(
            duo.bravo,
            "the network between them loses or delays too many adverts; write a longer failover.advert_seconds",
            60,
        )
    prefer_alpha(duo)
    serves(duo)


def _pair_address(box: Box) -> Iterator[str]:
    for line in box.sh("ip -6 -o address show dev wg-pair scope global").splitlines():
        yield line.split()[3].split("/")[0]
