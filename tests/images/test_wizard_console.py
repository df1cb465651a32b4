"""A new box is set up at its serial line, from the flashed file to a confirmed office: 115,200 baud, 80x24, no mouse.

disk file ─► firmware ─► the product ── serial line 1 ──► socket ──► socat in tmux: what a person sees and types
                            │
                 wan: QEMU's own network with DHCP; lan: a switch with nobody on it
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.office import NOBODY, PATIENCE, image
from tests.lab.log import Log
from tests.lab.terminal import Terminal
from tests.unit.cli.wizard_world import KEY
from tests.vm.disk_machine import DiskMachine

SLOWER = 20
"""An emulated processor beside a real one, on a machine that may have others to serve."""
# Not restricted, or its DHCP would name no gateway; the world around has no way to anywhere.
CARDS = ["-device", "virtio-net-pci,netdev=a,addr=10", "-netdev", "user,id=a"]
CARDS += ["-device", "virtio-net-pci,netdev=b,addr=11", "-netdev", NOBODY.format("b")]
PASSWORD = "a-long-password"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, image())
    yield made
    made.power_cut()


@contextlib.contextmanager
def serial_screen(machine: DiskMachine) -> Iterator[Terminal]:
    """A terminal at the machine's first serial line. From here on the line is its alone."""
    machine.console.company.remove(machine.console)
    line, place = machine.console.end, str(machine.folder / "line")
    log = Log("wizard-console", __doc__ or "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(place)
        door.listen(1)
        with Terminal(["socat", "-,raw,echo=0", f"UNIX-CONNECT:{place}"], log, patience=SLOWER) as screen:
            desk, _ = door.accept()
            for source, target in ((line, desk), (desk, line)):
                threading.Thread(target=_carry, args=(source, target), daemon=True).start()
            yield screen
    log.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Until one of the two is gone."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def test_the_whole_wizard_at_a_serial_line(machine: DiskMachine, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    with stick.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.vfat", stick], check=True, capture_output=True)
    plugged = ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,file={stick}"]
    machine.power_on([*CARDS, *plugged, "-device", "usb-storage,drive=stick"]).booted(PATIENCE)
    machine.console.wait_for("This box is new. Press Enter to set it up", PATIENCE)
    assert machine.sh("stty -F /dev/ttyS0 speed").strip() == "115200"
    with serial_screen(machine) as screen:
        screen.press("Enter")
        screen.shows("One box or two?")
        # A person takes longer than the screen, which stands before it hears its first key.
        for _ in range(10):
            screen.press("Enter")
            with contextlib.suppress(AssertionError):
                screen.shows("The name of the office", 1)
                break
        screen.shows("The name of the office")
        screen.write("zurich")
        screen.shows("good")
        screen.press("Enter")
        screen.shows("The name of this box")
        screen.press("Enter")
        screen.shows("Which cable goes to the internet?")
        screen.press("Enter")
        screen.shows("How does the box get its internet address?")
        screen.press("Enter")
        screen.shows("was given", 20)
        screen.shows("Which cable goes to the office?")
        screen.press("Enter")
        screen.shows("The box's address in the office")
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
        screen.write(KEY)
        screen.press("Enter")
        screen.shows("Who may sign configurations?")
        screen.press("Enter")
        screen.shows("Who connects first?")
        screen.press("Enter")
        screen.shows("What is it called?")
        screen.write("anna-phone")
        screen.press("Enter")
        for title in ("A password for this screen?", "The same password once more"):
            screen.shows(title)
            # The field is empty: what `write` would send to empty it may come later than the first letters.
            screen.say(PASSWORD)
            assert PASSWORD not in screen.shows("•" * len(PASSWORD))
            screen.press("Enter")
        screen.shows("This is your appliance.yaml")
        screen.press("Enter")
        screen.shows("It runs, on trial", 30)
        screen.press("Enter")
        screen.shows("too small for a QR code", 30)
        screen.press("F2")
        screen.shows("anna-phone.conf and anna-phone.png written", 30)
        screen.shows("The box is set up")
        screen.press("Enter")
        screen.shows("login:")

        said = json.loads(machine.run("appliance status --json", PATIENCE)[1])
        assert (said["site"], said["trial"], [each["name"] for each in said["tunnels"]]) == ("zurich", None, ["office"])
        assert said["tunnels"][0]["engine"] == "kernel" and said["generation"]
        uplink = said["uplinks"][0]
        assert (uplink["device"], uplink["gateways"]) == ("enp0s16", ["10.0.2.2"])
        assert machine.run("systemctl is-active appliance-ssh")[1].strip() == "active"
        assert machine.run("ls /data/appliance/setup.yaml")[0] != 0
        for name in ("anna-phone.conf", "anna-phone.png"):
            subprocess.run(["mcopy", "-i", stick, f"::{name}", tmp_path], check=True)
        conf = (tmp_path / "anna-phone.conf").read_text()
        assert "Endpoint = office.example.net:51820" in conf
        scanned = subprocess.run(
            ["zbarimg", "-q", "--raw", tmp_path / "anna-phone.png"], capture_output=True, check=True
        )
        assert scanned.stdout.decode().strip() == conf.strip()
        assert "anna-phone" in machine.run("appliance peer list")[1]

        # The password that was set here opens this screen, and sudo the rest.
        screen.say("admin\n")
        screen.shows("Password:")
        # PAM asks first, and then throws away what was typed before the echo was off (misc_conv, TCSAFLUSH).
        machine.sh("until stty -F /dev/ttyS0 -a | grep -q -- ' -echo '; do sleep 0.2; done", PATIENCE)
        screen.say(f"{PASSWORD}\n")
        screen.shows("~$")
        screen.say("sudo appliance status\n")
        screen.shows("firewall stands, forwarding")
