"""A signed bundle, from a laptop's keys to the box that believes it; and what the box says to those that lie.

The drawing stands in tests/labs/office.py. The laptop of the administrator is the machine that the lab runs on: all but
`apply` needs no box, no root and no network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Box, Lab, Probe, genpsk, wait_for
from tests.labs.office import BRANCH_HOST, OFFICE_HOST, Office, in_order, status
from tests.labs.signers import Signers, appliance
from tests.labs.wiring import configure

BOB = "      bob:\n        public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n        address: 10.20.0.11\n"


class Administration(Signers):
    """Anna and Ben, and the office that they look after."""

    def __init__(self, office: Office, folder: Path) -> None:
        super().__init__(folder)
        self.office = office
        self.text = office.yaml("zurich") + self.trust

    @property
    def box(self) -> Box:
        return self.office.zurich

    def apply(self, content: bytes) -> subprocess.CompletedProcess[str]:
        self.box.put("/tmp/it.bundle", content.decode("latin-1"))
        return self.box.run("appliance", "bundle", "apply", "/tmp/it.bundle", check=False, timeout=120)

    def receipt(self) -> dict[str, Any]:
        return dict(json.loads(self.box.run("appliance", "bundle", "show", "--json").stdout))


@pytest.fixture(scope="module")
def administration(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Administration:
    office = Office(shared_lab).build().go_online()
    office.branch_host.ping(OFFICE_HOST, timeout=15)
    office.laptop.ping(OFFICE_HOST, timeout=15)
    return Administration(office, tmp_path_factory.mktemp("laptop"))


def test_a_box_that_trusts_nobody_takes_no_bundle(administration: Administration) -> None:
    done = administration.apply(administration.bundle(administration.text))
    assert done.returncode == 1
    assert done.stderr.startswith("appliance: this box trusts nobody's signature: write `trust:`")
    configure(administration.box, administration.text)


def test_from_two_laptops_to_the_box(administration: Administration) -> None:
    """Made, signed by two with a PEM and an OpenSSH key, verified on the laptop, believed, proven, receipted."""
    office, box = administration.office, administration.box
    content = administration.bundle(administration.text.replace("      geneva:", BOB + "      geneva:", 1))
    said = appliance(administration.folder, "bundle", "verify", "it.bundle", "--trust", "appliance.yaml").stdout
    assert "zurich would believe it" in said and "anna, ben" in said
    shown = appliance(administration.folder, "bundle", "show", "it.bundle").stdout
    assert "not verified" in shown and "site: zurich" in shown
    before = status(box)["generation"]
    with Probe(office.branch_host, office.host, OFFICE_HOST, 0.005) as probe:
        probe.flowing(packets=50)
        done = administration.apply(content)
        probe.flowing(packets=50)
    assert done.returncode == 0, done.stderr
    assert probe.report.lost == (), str(probe.report)
    now = status(box)
    assert now["generation"] == before + 1
    assert [peer["name"] for peer in now["tunnels"][0]["peers"]] == ["office.alice", "office.bob", "office.geneva"]
    receipt = administration.receipt()
    assert (receipt["outcome"], receipt["serial"], receipt["box"]) == ("applied", str(administration.serial), "zurich")
    assert now["bundles"]["last"]["outcome"] == "applied"
    lines = box.journal("SYSLOG_IDENTIFIER=appliance", "-o", "json").splitlines()
    told = [entry for entry in map(json.loads, lines) if "BUNDLE" in entry][-1]
    assert (told["BUNDLE"], told["OUTCOME"]) == (receipt["bundle"], "applied")
    history = box.run("appliance", "history").stdout
    assert f"bundle {administration.serial} " in history and "signed by anna, ben" in history


def test_what_lies_is_refused_and_changes_nothing(administration: Administration) -> None:
    office, box = administration.office, administration.box
    running = status(box)["configuration"]
    good = administration.bundle(administration.text)
    once = administration.bundle(administration.text, signers=("anna",))
    old = administration.bundle(administration.text, serial=1)
    refused = {
        "TooFewSignatures": once,
        "OldSerial": old,
        "WrongSignature": good.replace(b"192.168.10.1/24", b"192.168.99.1/24"),
        "NotABundle": good + b"# more\n",
        "NotText": good.replace(b"\n", b"\r\n"),
        "TooLarge": b"0" * (7 << 19) * 2,
    }
    with Probe(office.branch_host, office.host, OFFICE_HOST, 0.005) as probe:
        probe.flowing(packets=20)
        for name, content in refused.items():
            done = administration.apply(content)
            assert done.returncode == 1, name
            assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
            if name != "TooLarge":
                assert administration.receipt()["refusal"] == name, done.stderr
        probe.flowing(packets=20)
    assert probe.report.lost == (), str(probe.report)
    assert status(box)["configuration"] == running
    assert administration.apply(good).returncode == 0
    again = administration.apply(good)
    assert again.returncode == 1 and "it runs already, as generation" in again.stderr


def test_a_secret_arrives_sealed(administration: Administration) -> None:
    """A colleague's new preshared key travels in the open, and nobody but the box can read it."""
    office, box = administration.office, administration.box
    psk = genpsk()
    (administration.folder / "psk").write_text(psk + "\n")
    recipient = status(box)["bundles"]["age_recipient"]
    text = administration.text.replace("{secret: psk-alice}", "{secret: psk-alice-2}")
    missing = administration.apply(administration.bundle(text))
    assert "the secret psk-alice-2 is neither on this box nor in the bundle" in missing.stderr
    sealed = ("--secret", "psk-alice-2=psk", "--recipient", f"zurich={recipient}")
    content = administration.bundle(text, *sealed)
    assert psk.encode() not in content and psk[:20].encode() not in content
    assert office.laptop_tunnel
    office.laptop.put("/tmp/psk", psk)
    change = f"wg set {office.laptop_tunnel.ifname} peer {office.keys['zurich'].public} preshared-key /tmp/psk"
    began = time.monotonic()
    box.put("/tmp/it.bundle", content.decode())
    applying = box.popen(["appliance", "bundle", "apply", "/tmp/it.bundle"])
    there = "test -e /data/appliance/secrets/psk-alice-2 && echo yes || true"
    wait_for(lambda: box.sh(there) == "yes", 20, "the secret is on the box")
    office.laptop.sh(change)
    assert applying.wait(60) == 0
    print(f"a new preshared key by bundle: {time.monotonic() - began:.1f} s")
    office.laptop.ping(OFFICE_HOST, timeout=15)
    assert box.sh("stat -c '%U %a' /data/appliance/secrets/psk-alice-2") == "root 600"
    assert psk not in box.journal()
    changed = ("--secret", "psk-alice=psk", "--recipient", f"zurich={recipient}")
    done = administration.apply(administration.bundle(text, *changed))
    assert "the secret psk-alice has another value on this box" in done.stderr
    stranger = ("--secret", "psk-new=psk", "--recipient", f"zurich={_stranger()}")
    done = administration.apply(administration.bundle(text, *stranger))
    assert administration.receipt()["refusal"] == "SecretsUnreadable", done.stderr


def _stranger() -> str:
    identity = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(["age-keygen", "-y"], input=identity, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_bundle_that_breaks_something_goes_back_by_itself(administration: Administration) -> None:
    """The branch's key mistyped: believed, tried, not proven; gone again, and the receipt names what was missed."""
    office, box = administration.office, administration.box
    before = status(box)
    wrong = administration.text.replace(office.keys["geneva"].public, "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
    done = administration.apply(administration.bundle(wrong.replace("{secret: psk-alice}", "{secret: psk-alice-2}")))
    assert done.returncode == 1
    assert "office.geneva" in done.stderr, done.stderr
    receipt = administration.receipt()
    assert receipt["outcome"] == "rolled back" and "office.geneva" in receipt["why"]
    assert status(box)["configuration"] == before["configuration"]
    office.branch_host.ping(OFFICE_HOST, timeout=30)


def test_power_cut_while_a_bundle_is_tried(administration: Administration) -> None:
    """The last confirmed configuration runs, the receipt says why, and the serial is not forgotten."""
    box = administration.box
    office = administration.office
    before = status(box)["configuration"]
    wrong = administration.text.replace(office.keys["geneva"].public, "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
    content = administration.bundle(wrong.replace("{secret: psk-alice}", "{secret: psk-alice-2}"))
    box.put("/tmp/it.bundle", content.decode())
    box.popen(["appliance", "bundle", "apply", "/tmp/it.bundle"])
    wait_for(lambda: status(box).get("trial"), 20, "it is tried")
    box.power_cut()
    box.boot()
    in_order(box, 10)
    assert status(box)["configuration"] == before
    receipt = administration.receipt()
    assert (receipt["outcome"], receipt["serial"]) == ("rolled back", str(administration.serial))
    assert "stopped while it was being tried" in receipt["why"]
    assert (
        administration.apply(administration.bundle(administration.text, serial=administration.serial - 1)).returncode
        == 1
    )
    office.branch_host.ping(OFFICE_HOST, timeout=30)
    office.host.ping(BRANCH_HOST, timeout=30)


# -- fetched from a web server ----------------------------------------------------------------------------------------


class Web:
    """A web server in the internet, with a certificate that the box's roots vouch for."""

    def __init__(self, administration: Administration) -> None:
        office = administration.office
        self.node = office.internet
        office.names({"geneva.example.net": "198.51.100.2", "sites.example.net": "203.0.113.1"})
        self.folder = Path(tempfile.mkdtemp(prefix="web-"))
        name = "-subj /CN=sites.example.net -addext subjectAltName=DNS:sites.example.net"
        keys = f"-keyout {self.folder}/key -out {self.folder}/certificate"
        self.node.sh(f"openssl req -x509 -newkey ed25519 -nodes -days 30 {name} {keys} 2>&1")
        box = administration.box
        box.put("/usr/local/share/ca-certificates/lab.crt", (self.folder / "certificate").read_text())
        box.run("update-ca-certificates")
        self.give(b"nothing yet\n")
        program = Path(__file__).parents[1] / "lab/programs/web.py"
        words = [
            sys.executable,
            str(program),
            "443",
            f"{self.folder}/certificate",
            f"{self.folder}/key",
            str(self.folder),
        ]
        self.log = (self.folder / "log").open("wb")
        self.server = self.node.popen(words, stdout=self.log)
        wait_for(lambda: ":443 " in self.node.sh("ss -Hltn"), 10, "the web server listens")

    def give(self, content: bytes, mode: str = "good") -> None:
        (self.folder / "body").write_bytes(content)
        (self.folder / "mode").write_text(mode)

    def answered(self) -> list[str]:
        return (self.folder / "log").read_text().split()

    def stop(self) -> None:
        self.node.sh("fuser -k -n tcp 443 || true")
        wait_for(lambda: ":443 " not in self.node.sh("ss -Hltn"), 10, "the web server is gone")
        self.server.wait(10)

    def close(self) -> None:
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def web(administration: Administration) -> Iterator[Web]:
    web = Web(administration)
    yield web
    web.close()


def fetched(box: Box) -> dict[str, Any]:
    return dict((status(box)["bundles"].get("fetch") or {}).get("last") or {})


def test_fetched_by_itself(administration: Administration, web: Web) -> None:
    """The configuration names an address; what lies there is fetched, believed and applied without a hand."""
    box, office = administration.box, administration.office
    address = "bundles: {url: https://sites.example.net/zurich.bundle, every: 10s}\n"
    text = administration.text.replace("{secret: psk-alice}", "{secret: psk-alice-2}") + address
    configure(box, text)
    number = status(box)["generation"]
    web.give(administration.bundle(text.replace("      geneva:", BOB + "      geneva:", 1)))
    began = time.monotonic()
    wait_for(lambda: status(box)["generation"] == number + 1, 60, "the bundle was fetched and confirmed")
    print(f"fetched and confirmed after {time.monotonic() - began:.1f} s (asked every 10 s)")
    wait_for(lambda: administration.receipt()["outcome"] == "applied", 10, "the receipt is written")
    carrier = "systemd-run --quiet --collect --pipe --wait -p DynamicUser=yes -p Group=appliance-carriers "
    carrier += "-p SupplementaryGroups=appliance "
    for words in ("status", "rollback 1", "confirm"):
        refused = box.run("sh", "-c", carrier + f"appliance {words}", check=False)
        assert refused.returncode == 1 and "only root and the group appliance" in refused.stderr, words
    before = len(web.answered())
    wait_for(lambda: web.answered()[before:].count("304") >= 2, 60, "it asks with the tag, and there is nothing new")
    assert web.answered()[before:].count("200") == 0
    receipt = administration.receipt()

    good = (web.folder / "body").read_bytes()
    said = {
        "error": "error: 500",
        "portal": "gives no bundle: line 1",
        "short": "unexpected eof",
        "cut": "gives no bundle",
        "endless": "xceeded",
        "plain": 'Protocol "http" disabled',
    }
    with Probe(office.branch_host, office.host, OFFICE_HOST, 0.005) as probe:
        probe.flowing(packets=20)
        for mode, words in said.items():
            web.give(good + b"# another tag\n", mode)
            done = box.run("appliance", "bundle", "fetch", check=False, timeout=60)
            assert done.returncode == 1, mode
            assert words in done.stderr, (mode, done.stderr)
            assert done.stderr.count("\n") == 1, done.stderr
        probe.flowing(packets=20)
    assert probe.report.lost == (), str(probe.report)
    web.stop()
    done = box.run("appliance", "bundle", "fetch", check=False, timeout=60)
    assert done.returncode == 1 and "onnect" in done.stderr
    now = status(box)
    assert now["generation"] == number + 1
    assert not any("fetched" in note for note in now["warnings"]), "an hour offline is normal"
    assert administration.receipt() == receipt
    assert not fetched(box)["good"]


# -- a stick ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stick(administration: Administration, tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], str]]:
    """Makes a file system with these files in it a block device of the box; returns its name below /dev.

    This kernel has no FAT, so it is ext4, and udev, which a container has not, is played by whoever starts the unit.
    """
    used: list[str] = []

    def plug(files: dict[str, bytes]) -> str:
        image, tree = tmp_path / f"{len(used)}.img", tmp_path / f"{len(used)}.d"
        tree.mkdir()
        for name, content in files.items():
            (tree / name).write_bytes(content)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(image), "32M"], check=True)
        loop = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True)
        device = loop.stdout.strip()
        used.append(device)
        number = device.removeprefix("/dev/loop")
        administration.box.run("mknod", f"/dev/stick{number}", "b", "7", number)
        return f"stick{number}"

    yield plug
    for device in used:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_a_stick_that_is_plugged_in(administration: Administration, stick: Callable[[dict[str, bytes]], str]) -> None:
    box = administration.box
    text = administration.text.replace("{secret: psk-alice}", "{secret: psk-alice-2}")
    number = status(box)["generation"]
    name = stick({"appliance-bundle.yaml": administration.bundle(text.replace("ports", "ports") + "# by stick\n")})
    box.run("systemctl", "start", f"appliance-bundle-stick@{name}.service", timeout=90)
    assert status(box)["generation"] == number + 1
    assert administration.receipt()["outcome"] == "applied"
    receipt = administration.receipt()
    empty = stick({"holiday.jpg": b"beach"})
    box.run("systemctl", "start", f"appliance-bundle-stick@{empty}.service", timeout=90)
    zeros = stick({"appliance-bundle.yaml": bytes(20_000_000)})
    box.run("systemctl", "start", f"appliance-bundle-stick@{zeros}.service", check=False, timeout=90)
    assert "a bundle is at most 5 MB" in box.journal("-u", f"appliance-bundle-stick@{zeros}.service")
    assert administration.receipt() == receipt
    assert status(box)["generation"] == number + 1
    assert "stick" not in box.sh("cat /proc/mounts | grep ext4 || true")
    assert box.sh("systemctl list-units --failed --plain --no-legend || true") == ""
