"""Who may log in: a key in the file opens the door, another does not; a key that leaves closes it, sessions included.

internet 203.0.113.1 ───── wan │ .2
                        ┌──────┴──────┐
                        │   zurich    │
                        └──────┬──────┘
                           lan │ 192.168.10.1
                        ┌──────┴──────┐
                        │ office host │ .20: anna and ben sit here, each with a key
                        └─────────────┘
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Box, Lab, Node, wait_for
from tests.lab.terminal import Terminal
from tests.labs.wiring import configure

FILE = """\
version: 1
site: zurich
boxes:
  zurich:
    interfaces:
      wan: {device: enp1s0, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
"""
ZURICH = "192.168.10.1"


class Office:
    def __init__(self, lab: Lab, home: Path) -> None:
        wan, lan = lab.switch("wan"), lab.switch("lan")
        self.internet = lab.node("internet")
        self.internet.attach(wan, "eth0", ["203.0.113.1/24"])
        self.host = lab.node("host")
        self.host.attach(lan, "eth0", ["192.168.10.20/24"], gateway=ZURICH)
        self.box: Box = lab.box("zurich")
        self.box.attach(wan, "enp1s0")
        self.box.attach(lan, "enp2s0")
        self.home = home
        self.keys: dict[str, str] = {}
        for name, kind in (("anna", "ed25519"), ("ben", "ecdsa"), ("eve", "ed25519")):
            self.host.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name}@laptop", "-f", str(home / name))
            self.keys[name] = (home / f"{name}.pub").read_text().strip()
        self.box.boot()

    def admit(self, *names: str) -> str:
        lines = "".join(f"  {name}: {self.keys[name]}\n" for name in names)
        return configure(self.box, FILE + (f"administrators:\n{lines}" if names else ""))

    def ssh(self, name: str, *command: str) -> list[str]:
        options = ["BatchMode=yes", "StrictHostKeyChecking=accept-new", "ConnectTimeout=3", "IdentitiesOnly=yes"]
        options.append(f"UserKnownHostsFile={self.home}/known_hosts")
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-i", str(self.home / name), *words, f"admin@{ZURICH}", *command]

    def gets_in(self, name: str) -> bool:
        return self.host.run(self.ssh(name, "true"), check=False, timeout=20).returncode == 0


@pytest.fixture(scope="module")
def office(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    yield Office(shared_lab, tmp_path_factory.mktemp("keys"))


def listens(box: Box) -> bool:
    return ":22 " in box.sh("ss -Hltn")


def connects(node: Node, address: str) -> bool:
    argv = ["socat", "-u", f"TCP:{address}:22,connect-timeout=1", "STDOUT"]
    return node.run(["timeout", "3", *argv], check=False, timeout=10).stdout.startswith("SSH-")


def test_without_an_administrator_there_is_no_sshd(office: Office) -> None:
    office.admit()
    assert not listens(office.box)


def test_a_key_in_the_file_lets_in_as_an_administrator_and_no_other_does(office: Office) -> None:
    said = office.admit("anna", "ben")
    assert "ssh: run" in said, said
    assert office.gets_in("anna") and office.gets_in("ben")
    assert not office.gets_in("eve")
    assert office.host.run(office.ssh("anna", "sudo", "id", "-un")).stdout.strip() == "root"
    assert "zurich" in office.host.run(office.ssh("anna", "appliance", "status"), check=False).stdout
    assert not connects(office.internet, "203.0.113.2")
    print("anna and ben get in and become root by sudo; eve does not; from the internet there is no ssh")


def test_nobody_gets_in_with_a_password(office: Office) -> None:
    office.box.run("chpasswd", stdin="admin:secret\n")
    argv = office.ssh("eve", "true")
    said = office.host.run([*argv[:1], "-v", *argv[1:]], check=False, timeout=20).stderr
    assert "Authentications that can continue: publickey\n" in said, said


def test_a_key_that_leaves_closes_the_door_and_ends_its_session(office: Office) -> None:
    session = office.host.popen(office.ssh("ben", "sleep 300"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: "sleep 300" in office.box.sh("ps -eo args"), 10, "ben is in")
    said = office.admit("anna")
    assert "ssh sessions end" in said, said
    assert session.wait(5) != 0
    wait_for(lambda: "sleep 300" not in office.box.sh("ps -eo args"), 5, "nothing of ben's session runs any more")
    assert not office.gets_in("ben") and office.gets_in("anna")
    print("ben's session ended when his key left the file; anna gets in")


def test_the_host_key_is_this_boxs_own_and_outlives_a_power_cut(office: Office) -> None:
    """accept-new lets nobody in whose host key has changed."""
    office.box.power_cut()
    office.box.boot()
    wait_for(lambda: office.gets_in("anna"), 10, "anna gets in to the same host key")
    assert not office.gets_in("ben")
    mode = office.box.sh("stat -c %a /data/appliance/ssh/ssh_host_ed25519_key").strip()
    assert mode == "600"


def test_who_sets_up_over_ssh_confirms_in_a_new_session(office: Office) -> None:
    """Only a login after the change shows that the box can still be reached."""
    answers = {"pair": "alone", "site": "zurich", "box": "zurich", "uplink": "enp1s0", "how": "static",
               "address": "203.0.113.2/24", "gateway": "203.0.113.1", "dns": "none", "lan": "enp2s0",
               "lan_address": "192.168.10.1/24", "tunnel": "vpn", "port": "51820", "tunnel_address": "10.20.0.1/24",
               "reached_at": "none", "admin": "anna", "admin_key": office.keys["anna"], "signer": "none",
               "next": "nobody"}  # fmt: skip
    office.box.put("/data/appliance/setup.yaml", json.dumps(answers), 0o600)
    argv = office.ssh("anna", "sudo", "appliance", "setup", "--replace")
    with Terminal(
        [*office.host.entry(), *argv[:1], "-tt", *argv[1:]], office.host.log, term="screen-256color"
    ) as screen:
        screen.shows("A password for this screen?")
        screen.press("Enter")
        screen.shows("This is your appliance.yaml")
        screen.press("Enter")
        screen.shows("You came by ssh", 30)
        screen.press("Enter")
        assert office.box.sh("appliance status").count("on trial"), "this session shows nothing"
        assert "confirmed" in office.host.run(office.ssh("anna", "sudo", "appliance", "confirm")).stdout
        screen.shows("The box is set up")
        screen.press("Enter")
    assert "on trial" not in office.box.sh("appliance status") and office.gets_in("anna")


def test_a_killed_sshd_is_back_and_the_last_key_switches_it_off(office: Office) -> None:
    office.box.run("systemctl", "kill", "--signal=KILL", "appliance-ssh.service")
    wait_for(lambda: office.gets_in("anna"), 10, "sshd is back")
    said = office.admit()
    assert "ssh: stop" in said, said
    assert not listens(office.box)
