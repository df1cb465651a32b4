"""Two boxes that share nothing but a code that a person carries from one to the other.

The drawing stands in tests/labs/pair.py; here bravo comes from its box: no configuration, no address, no key.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab import Lab, capture, wait_for
from tests.labs.office import status
from tests.labs.pair import HOST, VIRTUAL, Duo, pair

PORT = 51817


@pytest.fixture(scope="module")
def duo() -> Iterator[Duo]:
    with Lab("pair-enrolment", __doc__ or "") as lab:
        duo = Duo(lab).build()
        shutil.rmtree(duo.bravo.data / "appliance")
        (duo.alpha.data / "appliance/keys/pair-partner.pub").unlink()
        (duo.alpha.data / "appliance/keys/wg-pair.key").unlink()
        (duo.alpha.data / "appliance/keys/wg-pair.pub").unlink()
        yield duo.boot()


class Invitation:
    """`appliance pair invite` while it waits."""

    def __init__(self, duo: Duo, *options: str) -> None:
        argv = ["appliance", "pair", "invite", *options]
        self.process = duo.alpha.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        found = re.search(r"join (\d{3}-\d{4}-\d{4})$", self.said.strip())
        assert found, self.said
        self.code = found[1]
        self.wrong = self.code[:-1] + str((int(self.code[-1]) + 1) % 10)

    def ended(self, seconds: float = 20) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output


def open_port(duo: Duo) -> bool:
    """Whether anything listens, or any address of an invitation stands, on alpha."""
    return f":{PORT}" in duo.alpha.sh("ss -Hltn") or "fe80::a881:" in duo.alpha.sh("ip -6 -o address")


def test_alone_it_says_what_to_do(duo: Duo) -> None:
    said = status(duo.alpha)["warnings"]
    assert any("`appliance pair invite` here, and `appliance pair join CODE`" in each for each in said), said
    assert not open_port(duo)


def test_alone_it_serves_its_peers_with_its_own_address(duo: Duo) -> None:
    """The file has virtual addresses already, and nobody carries them yet."""
    endpoint = ("wg", "set", "wg0", "peer", duo.keys["office"].public, "endpoint")
    duo.laptop.run(*endpoint, "203.0.113.2:51820")
    duo.laptop.ping("10.20.0.1", timeout=20)
    duo.laptop.run(*endpoint, f"{VIRTUAL}:51820")


def test_a_code_that_nobody_types_expires(duo: Duo) -> None:
    invitation = Invitation(duo, "--minutes", "0.05")
    assert open_port(duo)
    code, said = invitation.ended()
    assert code == 1 and "the invitation has expired" in said
    assert not open_port(duo)


def test_wrong_codes(duo: Duo) -> None:
    """Three, and it is void; a box that has no configuration is as before."""
    invitation = Invitation(duo)
    for _ in range(3):
        done = duo.bravo.run("appliance", "pair", "join", invitation.wrong, check=False, timeout=60)
        assert done.returncode == 1 and "does not take this code" in done.stderr, done.stderr
    code, said = invitation.ended()
    assert code == 1 and "this invitation is void" in said
    late = duo.bravo.run("appliance", "pair", "join", invitation.code, check=False, timeout=60)
    assert late.returncode == 1 and "no box with this invitation is found" in late.stderr
    assert status(duo.bravo)["site"] is None and not open_port(duo)


def test_a_killed_invitation_leaves_nothing_open(duo: Duo) -> None:
    """The listener dies with the command, the address with its lifetime in the kernel."""
    invitation = Invitation(duo, "--minutes", "0.1")
    invitation.process.kill()
    invitation.process.wait()
    wait_for(lambda: not open_port(duo), 20, "nothing is open")


def test_the_right_code(duo: Duo) -> None:
    """bravo becomes the second box; what was on the wire gives away nothing; the code does not work twice."""
    private = {name: pair.private for name, pair in duo.keys.items() if name == "office"}
    invitation = Invitation(duo)
    with capture(duo.alpha, "enp2s0", f"tcp port {PORT}", "-A") as seen:
        joined = duo.bravo.run("appliance", "pair", "join", invitation.code, timeout=90)
        assert "this is bravo of zurich now, beside alpha" in joined.stdout
        code, said = invitation.ended(60)
    assert code == 0 and "bravo has joined" in said, said
    wire = "".join(seen.lines)
    assert wire and not any(key in wire for key in private.values())
    assert not open_port(duo)
    own = "cat /data/appliance/keys/wg-pair.key"
    assert duo.alpha.sh(own) != duo.bravo.sh(own)
    assert duo.bravo.sh("cat /data/appliance/keys/wg-office.key").strip() == private["office"].strip()
    assert duo.bravo.sh("cat /data/appliance/box").strip() == "bravo"
    again = duo.bravo.run("appliance", "pair", "join", "--replace", invitation.code, check=False, timeout=60)
    assert again.returncode == 1 and "no box with this invitation is found" in again.stderr


def test_the_pair_works(duo: Duo) -> None:
    duo.settled(timeout=40)
    duo.laptop.ping(HOST, timeout=30)
    master = duo.settled()
    other = duo.bravo if master is duo.alpha else duo.alpha
    wait_for(lambda: (pair(master).get("partner") or {}).get("ready"), 40, "the other one could take over", 0.2)
    master.power_cut()
    duo.laptop.ping(HOST, timeout=10)
    assert pair(other)["role"] == "master"


def test_a_box_at_work_is_not_given_up_by_mistake(duo: Duo) -> None:
    here = duo.bravo if duo.bravo.running else duo.alpha
    done = here.run("appliance", "pair", "join", "417-2930-5586", check=False)
    assert done.returncode == 1 and "already; to give that up: appliance pair join --replace" in done.stderr
    bad = here.run("appliance", "pair", "join", "hello", check=False)
    assert bad.returncode == 1 and "it looks like 417-2930-5586" in bad.stderr
