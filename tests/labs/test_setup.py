"""The setup wizard on a real terminal, screen by screen: from a new box to an office that is online.

internet (router, DHCP) 203.0.113.1
            │
     enp1s0 │
     ┌──────┴──────┐
     │   new box   │ ── its screen: tmux, 80x24, TERM=linux
     └──────┬──────┘
     enp2s0 │
     ┌──────┴──────┐
     │ office host │ 192.168.10.20
     └─────────────┘
"""

from __future__ import annotations

import json
import time

import pytest

from tests.lab import Box, Lab, Node, wait_for
from tests.lab.qr import read_code
from tests.lab.terminal import LINES, Terminal
from tests.labs.office import slow_to_start, status
from tests.labs.wiring import pings
from tests.unit.cli.wizard_world import KEY

INTERNET = "203.0.113.1"
HOST = "192.168.10.20"


class NewOffice:
    def __init__(self, lab: Lab, dhcp: bool = True) -> None:
        self.lab = lab
        self.wan, self.lan = lab.switch("wan"), lab.switch("lan")
        self.internet: Node = lab.node("internet")
        self.internet.attach(self.wan, "eth0", [f"{INTERNET}/24"])
        if dhcp:
            options = ["--port=0", "--dhcp-authoritative", "--dhcp-range=203.0.113.50,203.0.113.60,255.255.255.0,10m"]
            leases = f"--dhcp-leasefile=/run/leases-{lab.log.path.stem}"
            self.internet.run("dnsmasq", "--interface=eth0", leases, "--pid-file=/run/dhcp.pid", *options)
        self.host: Node = lab.node("host")
        self.host.attach(self.lan, "eth0", [f"{HOST}/24"], gateway="192.168.10.1")
        self.box: Box = lab.box("box")
        # What udev would call them on a real board; the first one leads to the office here.
        self.box.attach(self.lan, "enp1s0")
        self.uplink = self.box.attach(self.wan, "enp2s0")
        self.box.boot()

    def console(self, *command: str, lines: int = LINES) -> Terminal:
        argv = [*self.box.entry()]
        argv = [word if not word.startswith("TERM=") else "TERM=linux" for word in argv]
        # script(1) makes it a terminal of the box's own.
        return Terminal([*argv, "script", "-qec", " ".join(command), "/dev/null"], self.lab.log, lines=lines)


@pytest.fixture
def office(lab: Lab) -> NewOffice:
    return NewOffice(lab)


def kept(office: NewOffice) -> dict[str, str]:
    path = office.box.data / "appliance/setup.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    return dict(json.loads(path.read_text()))


def test_a_new_box_is_set_up_at_its_screen(office: NewOffice) -> None:
    box = office.box
    box.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "anna@laptop", "-f", "/root/anna")
    public = box.sh("cat /root/anna.pub").strip()
    with office.console("/usr/lib/appliance/console", "--noclear", "-", "linux") as screen:
        screen.shows("This box is new. Press Enter")
        with slow_to_start(box):
            screen.press("Enter")
            screen.shows("One moment: the box is still starting")
        began = time.monotonic()
        screen.shows("One box or two?")
        print(f"the first screen stands after {time.monotonic() - began:.1f} s")
        screen.press("Enter")
        screen.shows("The name of the office")
        screen.write("Zürich!")
        screen.shows("is not a name")
        screen.write("zurich")
        screen.shows("good")
        screen.press("Enter")
        screen.shows("The name of this box")
        screen.press("Enter")

        screen.shows("Which cable goes to the internet?")
        office.uplink.cut()
        screen.shows("enp2s0 lost its cable")
        office.uplink.mend()
        wait_for(lambda: "no cable" not in screen.screen, 5, "the cable is in again")
        screen.press("Enter")
        screen.shows("How does the box get its internet address?")
        assert kept(office)["uplink"] == "enp2s0"

        box.power_cut()

    box.boot()
    with office.console("/usr/lib/appliance/console", "--noclear", "-", "linux") as screen:
        screen.shows("This box is new. Press Enter")
        screen.press("Enter")
        screen.shows("How does the box get its internet address?")
        screen.press("Enter")
        screen.shows("was given", 20)
        screen.shows("Which cable goes to the office?")
        assert "203.0.113" not in box.sh("ip -4 -o address"), "what was tried has gone again"
        screen.press("Enter")
        screen.shows("The box's address in the office")
        screen.write("203.0.113.200/24")
        screen.press("Enter")
        screen.shows("the network between this box and the provider's router")
        screen.write("192.168.99.1/24")
        screen.press("Enter")
        screen.shows("The tunnel for colleagues")
        screen.press("Escape")
        screen.shows("192.168.99.1/24")
        screen.write("192.168.10.1/24")
        screen.press("Enter")
        screen.shows("The tunnel for colleagues")
        screen.write("office")
        screen.press("Enter")
        for title in ("The tunnel's UDP port", "The box's address in the tunnel"):
            screen.shows(title)
            screen.press("Enter")
        screen.shows("Where is the box found from outside?")
        screen.write("office.example.net")
        screen.press("Enter")
        screen.shows("Who looks after this box?")
        screen.write("anna")
        screen.press("Enter")
        screen.shows("The administrator's ssh key")
        screen.write(public)
        screen.press("Enter")
        screen.shows("Who may sign configurations?")
        screen.press("Enter")
        screen.shows("Who connects first?")
        screen.press("Enter")
        screen.shows("What is it called?")
        screen.write("anna-phone")
        screen.press("Enter")
        screen.shows("A password for this screen?")
        screen.write("a-long-password")
        assert "a-long" not in screen.screen
        screen.press("Enter")
        screen.shows("The same password once more")
        screen.write("a-long-password")
        assert "a-long" not in screen.screen
        screen.press("Enter")
        screen.shows("This is your appliance.yaml")
        for _ in range(20):
            screen.press("NPage")
            if "sysctl net.ipv4.ip_forward = 1" in screen.screen:
                break
        screen.shows("sysctl net.ipv4.ip_forward = 1")
        screen.press("Enter")
        screen.shows("It runs, on trial", 30)
        screen.shows("office.example.net has no address yet")
        wait_for(lambda: pings(office.host, INTERNET), 10, "the office is online during the trial")
        screen.press("Enter")
        screen.shows("too small for a QR code")
        screen.press("F2")
        screen.shows("no stick that takes files is found")
        screen.press("Enter")
        screen.shows("The box is set up")
        screen.shows("peer add anna-phone")
        screen.press("Enter")
        screen.shows("login:")

    assert pings(office.host, INTERNET)
    assert not (box.data / "appliance/setup.yaml").exists()
    assert "confirmed" in box.sh("appliance history")
    assert box.run("appliance", "plan").stdout.startswith("nothing to do"), "the file that is edited is what runs"
    box.power_cut()
    box.boot()
    wait_for(lambda: pings(office.host, INTERNET), 20, "after a power cut the office is online by itself")
    assert box.sh("getent shadow admin").startswith("admin:$"), "the console's login is there again"
    assert ":22 " in box.sh("ss -Hltn")
    print("set up at its screen; the office is online, also after a power cut")


def to_the_trial(screen: Terminal) -> None:
    """All questions are answered; no password for the console, and nobody who logs in."""
    screen.shows("A password for this screen?")
    screen.press("Enter")
    screen.shows("nobody can log in to this box")
    screen.press("Enter")
    screen.shows("This is your appliance.yaml")
    screen.press("Enter")
    screen.shows("It runs, on trial", 30)


def test_a_trial_that_does_not_please_is_taken_back(office: NewOffice) -> None:
    answers = {"pair": "alone", "site": "zurich", "box": "alpha", "uplink": "enp2s0", "how": "dhcp", "lan": "enp1s0",
               "lan_address": "192.168.99.1/24", "tunnel": "none", "admin": "none", "signer": "none"}  # fmt: skip
    office.box.put("/data/appliance/setup.yaml", json.dumps(answers), 0o600)
    with office.console("appliance", "setup") as screen:
        to_the_trial(screen)
        screen.press("Escape")
        screen.shows("Enter tries it again", 30)
        assert not pings(office.host, INTERNET)
        screen.press("F10")
    assert kept(office) == answers


def test_the_first_colleague_scans_a_code_from_the_screen(office: NewOffice) -> None:
    box = office.box
    answers = {"pair": "alone", "site": "zurich", "box": "alpha", "uplink": "enp2s0", "how": "dhcp", "lan": "enp1s0",
               "lan_address": "192.168.10.1/24", "tunnel": "office", "port": "51820", "tunnel_address": "10.20.0.1/24",
               "reached_at": "office.example.net", "admin": "none", "signer": "none", "next": "colleague",
               "peer": "anna-phone"}  # fmt: skip
    box.put("/data/appliance/setup.yaml", json.dumps(answers), 0o600)
    with office.console("appliance", "setup", lines=48) as screen:
        to_the_trial(screen)
        screen.press("Enter")
        text = read_code(screen.shows("anna-phone connects by this", 30).splitlines())
        screen.press("Enter")
        assert "▀" not in screen.shows("whether anna-phone has come")
        screen.press("Enter")
    assert "Endpoint = office.example.net:51820" in text and "AllowedIPs = 10.20.0.0/24, 192.168.10.0/24" in text
    key = text.partition("PrivateKey = ")[2].partition("\n")[0]
    public = box.sh(f"echo {key} | wg pubkey").strip()
    assert public in box.sh("wg show all peers") and "anna-phone" in box.sh("appliance peer list")
    assert "confirmed" in box.sh("appliance history | tail -n 1") and "trial" not in box.sh("appliance status")
    assert key not in box.journal()
    assert not box.sh(f"grep -rF -- {key} /data /run /tmp /root /home 2>/dev/null || true"), "the box does not keep it"


def test_a_provider_that_speaks_pppoe_is_found(lab: Lab) -> None:
    office = NewOffice(lab, dhcp=False)
    office.internet.popen("pppoe-server", "-F", "-I", "eth0", "-L", "100.64.0.1", "-R", "100.64.0.10", "-N", "2")
    answers = {"pair": "alone", "site": "zurich", "box": "alpha", "uplink": "enp2s0"}
    office.box.put("/data/appliance/setup.yaml", json.dumps(answers), 0o600)
    with office.console("appliance", "setup") as screen:
        screen.shows("How does the box get its internet address?")
        screen.press("Enter")
        screen.shows("a provider answers by PPPoE", 30)
        screen.press("Enter")
        screen.shows("The user name at the provider")
        screen.press("F10")


def test_a_file_of_answers_does_the_same_without_a_screen(office: NewOffice) -> None:
    box = office.box
    answers = "site: zurich\nuplink: enp2s0\nlan: enp1s0\nconsole_password: a-long-password\n"
    answers += f"signer: anna\nsigner_key: {KEY}\n"
    answers += (
        "reached_at: 203.0.113.9\nnext: site\npeer: basel\npeer_networks: 192.168.30.0/24\npeer_file: /root/b.conf\n"
    )
    box.put("/tmp/answers.yaml", answers)
    first = box.run("appliance", "setup", "--answers", "/tmp/answers.yaml", "--print").stdout
    with office.console("/usr/lib/appliance/console", "--noclear", "-", "linux") as screen:
        screen.shows("This box is new. Press Enter")
        said = box.run("appliance", "setup", "--answers", "/tmp/answers.yaml", timeout=90).stdout
        screen.shows("login:")
    assert "the box is set up" in said
    assert status(box)["bundles"]["age_recipient"] in said, "to whom secrets are sealed is said here"
    wait_for(lambda: pings(office.host, INTERNET), 10, "the office is online")
    assert box.sh("stat -c %a /root/b.conf; wg-quick strip /root/b.conf").startswith("600\n[Interface]")
    assert "basel" in box.sh("appliance peer list")
    box.run("appliance", "peer", "remove", "basel", "--yes", "--confirm", "auto", timeout=90)
    assert box.sh("grep -v '^    peers: {}$' /data/appliance/appliance.yaml") == first.strip()
    assert "confirmed" in box.sh("appliance history")
    assert "a-long-password" not in box.sh("grep -r a-long-password /data /run 2>/dev/null || true")

    again = box.run("appliance", "setup", "--answers", "/tmp/answers.yaml", check=False)
    assert again.returncode == 1 and "serves zurich already" in again.stderr
    box.put("/tmp/wrong.yaml", "uplink: enp9s0\nlan: enp1s0\n")
    wrong = box.run("appliance", "setup", "--replace", "--answers", "/tmp/wrong.yaml", check=False)
    assert wrong.returncode == 1 and "uplink: 'enp9s0' is not offered here" in wrong.stderr, wrong.stderr
