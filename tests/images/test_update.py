"""A box is updated: each bad update leaves it as it was, a good one stays, and the way back is one command.

build/image/*.img ─► disk ─► OVMF with Secure Boot ─► shim ─► GRUB ─► system A or B
                       ▲                                        │ wan
      the power is cut in installs and first boots          QEMU's gateway, a web server

One box is booted and becomes an office's. Then the emulator's memory and disk are kept, and each test goes on from
there with a copy, in seconds: two at a time, where there are two processors.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.images import updates
from tests.images.office import ALONE, NOBODY
from tests.images.updates import BROKEN, LATER
from tests.lab import wait_for
from tests.vm.disk_machine import DiskMachine

BUILT = updates.BUILD / "image"
PATIENCE = 900
CUTS = int(os.environ.get("LAB_UPDATE_CUTS", "2"))
"""Half of them while an update is installed, half in its first boot."""
AT_A_TIME = int(os.environ.get("LAB_UPDATE_AT_A_TIME", "2"))
SEED = int(os.environ.get("LAB_SEED", "7"))
SERVER = "203.0.113.9"


@dataclass
class Story:
    """What all tests share: the updates to try, the box as it was kept, and what has been measured."""

    work: Path
    disk: Path
    port: int
    certificate: str
    own: str = ""
    boxes: list[Box] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def tell(self, text: str) -> None:
        self.said.append(f"{time.monotonic() - self.began:5.0f} s  {text}")

    def box(self, name: str, image: Path | None = None) -> Box:
        """A box of its own, from the image, or from a disk that another one left."""
        folder = self.work / name
        folder.mkdir()
        self.boxes.append(Box(folder, image or self.work / "kept/disk", self))
        return self.boxes[-1]

    def going_on(self, name: str) -> Box:
        """A copy of the box that was kept: it runs, and stands before the update."""
        made = self.box(name)
        shutil.copy(self.work / "kept/variables", made.folder / "variables")
        made.power_on([*made.with_it, "-incoming", f"file:{self.work / 'kept/memory'}"])
        made.goes_on()
        made.sh("blockdev --flushbufs /dev/vdb; mkdir -p /run/updates; mount -t squashfs -o ro /dev/vdb /run/updates")
        return made


class Box(DiskMachine):
    def __init__(self, folder: Path, image: Path, story: Story) -> None:
        super().__init__(folder, image)
        self.story = story
        self.with_it = ["-smp", "1", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        self.with_it += ["-device", "virtio-net-pci,netdev=a,addr=10", "-netdev"]
        # Who connects there is connected to the web server.
        forwarded = f"guestfwd=tcp:{SERVER}:443-cmd:socat STDIO TCP:127.0.0.1:{story.port}"
        self.with_it += [f"user,id=a,restrict=on,net=203.0.113.0/24,host=203.0.113.1,{forwarded}"]
        self.with_it += ["-device", "virtio-net-pci,netdev=b,addr=11", "-netdev", NOBODY.format("b")]
        self.with_it += ["-drive", f"if=none,id=updates,file={story.disk},format=raw,readonly=on"]
        self.with_it += ["-device", "virtio-blk-pci,drive=updates", "-device", "qemu-xhci,id=usb"]

    def start(self) -> Box:
        self.power_on(self.with_it)
        self.booted(PATIENCE)
        return self.settled()

    def settled(self) -> Box:
        """Waits until the system that runs was confirmed."""
        self.sh("until [ -e /run/appliance-image/settled ]; do sleep 1; done", PATIENCE)
        return self

    def comes_back(self, *systems: str, since: int = 0) -> Box:
        """Sees which systems are started, one after the other, until the last one stays."""
        heard = 0
        for each in systems:
            heard = self.boots(each, PATIENCE, since)
            since = len(self.console.said)
        self.booted(PATIENCE, heard)
        return self.settled()

    def restarts(self, *systems: str) -> Box:
        since = len(self.console.said)
        self.shell.write("systemctl reboot\n")
        return self.comes_back(*systems, since=since)

    def update(self, what: str) -> tuple[int, str]:
        return self.run(f"appliance update /run/updates/{what}.raucb", PATIENCE)

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.sh("appliance update status --json")))

    def runs(self) -> tuple[str, str]:
        """Its slot and version."""
        found = next(each for each in self.status()["systems"] if each["runs"])
        return found["system"], found["version"]

    def generation(self) -> int:
        return int(json.loads(self.sh("appliance status --json 2>/dev/null || true"))["generation"])

    def tries(self) -> dict[str, str]:
        """GRUB's count. The test's shell is there before /efi."""
        kept = "/efi/EFI/debian/grubenv"
        said = self.sh(f"until [ -e {kept} ]; do sleep 1; done; grub-editenv {kept} list", PATIENCE)
        return dict(line.split("=", 1) for line in said.split() if "_" in line)

    def apply(self, text: str) -> None:
        encoded = base64.b64encode(text.encode()).decode()
        self.sh(f"echo {encoded} | base64 -d >/data/appliance/appliance.yaml; appliance apply --confirm auto", PATIENCE)

    def kept(self, folder: Path) -> None:
        """Ends it; its memory and its disk, as they were at one moment, lie in `folder` then."""
        folder.mkdir()
        self._monitor("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self._monitor("migrate", uri=f"file:{folder}/memory")
        wait_for(self._is_kept, PATIENCE, "its memory is written", 0.2)
        self.power_cut()
        for name in ("disk", "variables"):
            shutil.move(self.folder / name, folder / name)

    def _is_kept(self) -> bool:
        found = self._monitor("query-migrate")
        assert found["status"] in ("setup", "active", "device", "completed"), found
        return bool(found["status"] == "completed")

    def goes_on(self) -> None:
        """Waits until it runs, with the memory that was kept, and its shell hears; what was typed before is lost."""
        wait_for(lambda: self._monitor("query-status").get("running"), PATIENCE, "it runs", 0.1)
        end = time.monotonic() + PATIENCE
        while "on-42" not in self.shell.said:
            assert time.monotonic() < end, "the shell of the box that was kept does not answer"
            self.shell.write("\necho on-$((40 + 2))\n")
            self.shell.hear(5)

    def plug_in(self, stick: Path) -> None:
        self._monitor("blockdev-add", **{"node-name": "stick", "driver": "raw", "read-only": True},
                      file={"driver": "file", "filename": str(stick), "read-only": True})  # fmt: skip
        self._monitor("device_add", driver="usb-storage", id="stick", bus="usb.0", drive="stick")

    def _monitor(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Tells QEMU (QMP); its answer."""
        place = self.folder / "qmp"
        wait_for(lambda: place.exists() or not self.running, PATIENCE, "the emulator can be told something", 0.05)
        assert self.running, "the emulator has ended by itself"
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(place))
            with line.makefile("rw") as stream:
                stream.readline()
                for each in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(each) + "\n")
                    stream.flush()
                    while "event" in (answer := json.loads(stream.readline())):
                        pass
        assert "return" in answer, answer
        return dict(answer["return"])


# -- what becomes of it ------------------------------------------------------------------------------------------------


def what_must_not_be_taken_is_refused(story: Story) -> None:
    """In a sentence each, before a byte is written."""
    box = story.going_on("refused")
    for what, reason in {
        "tampered": "a part of it is not what was signed; nothing was written",
        "foreign": "signed by somebody whom this system does not know",
        "arm64": "the update is for arm64, and this box is amd64",
        "older": f"the update is version 0.0.9, older than the {story.own} that runs",
        "short": "this is no update, or only a part of one",
        "none": "does not exist",
    }.items():
        code, said = box.update(what)
        assert code == 1 and reason in said and "Traceback" not in said, f"{what}: {said}"
    code, said = box.run(f"appliance update https://{updates.HOST}/good.raucb", PATIENCE)
    assert code == 1 and "could not be fetched" in said, said
    assert box.run("appliance update rollback")[0] == 1
    assert box.sh("head -c 4096 /dev/disk/by-partlabel/root-b | tr -d '\\0' | wc -c").strip() == "0"
    assert box.runs() == ("A", story.own)
    box.power_cut()


def one_in_which_nothing_starts_is_given_up(story: Story) -> None:
    box = story.going_on("mute")
    assert box.update("bad")[0] == 0
    since = time.monotonic()
    box.restarts("B", "A")
    story.tell(f"without Python: the system before is back after {time.monotonic() - since:.0f} s")
    assert box.runs() == ("A", story.own) and box.generation() == 1
    assert box.status()["outcome"] == "went back"
    assert f"version {BROKEN} was given up, and {story.own} runs again" in box.sh("appliance update status")
    box.power_cut()


def one_that_hangs_is_given_up(story: Story) -> None:
    """Its PID 1 stands still; the board's watchdog (q35 has Intel's TCO) ends that.

    Two of three tries are taken from it, to save minutes.
    """
    box = story.going_on("hangs")
    assert box.update("bad")[0] == 0
    box.sh("touch /data/hang; sync; grub-editenv /efi/EFI/debian/grubenv set B_TRY=2")
    since = len(box.console.said)
    box.shell.write("systemctl reboot\n")
    box.boots("B", PATIENCE, since)
    box.console.wait_for("hangs-42", PATIENCE, since)
    hung, since = time.monotonic(), len(box.console.said)
    box.boots("A", 180, since)
    story.tell(f"a system that hangs: the watchdog had GRUB start the one before {time.monotonic() - hung:.0f} s later")
    box.power_cut()


def one_that_panics_is_given_up(story: Story) -> None:
    """And a rescue boot of the system before is no try of it: nobody would confirm it."""
    box = story.going_on("panics")
    assert box.update("panicking")[0] == 0
    box.sh("grub-editenv /efi/EFI/debian/grubenv set B_TRY=2")
    since = len(box.console.said)
    box.shell.write("systemctl reboot\n")
    box.boots("B", PATIENCE, since)
    box.console.wait_for("Kernel panic", PATIENCE, since)
    panicked, since = time.monotonic(), len(box.console.said)
    box.console.wait_for("Factory reset: forget", PATIENCE, since)
    story.tell(f"a kernel that panics: GRUB has the system before {time.monotonic() - panicked:.0f} s later")
    for entry in ("Appliance, system B", "Rescue: a root shell on system A"):
        since = len(box.console.said)
        box.console.write("\x0e")  # one down (GRUB manual, "The flow of control")
        box.console.wait_for(rf"\*{entry}", 60, since)
    heard = len(box.shell.said)
    box.console.write("\r")
    box.booted(PATIENCE, heard)
    assert box.sh("systemctl is-active rescue.target || true").strip() in ("active", "inactive")
    assert box.tries() == {"A_OK": "1", "A_TRY": "0", "B_OK": "1", "B_TRY": "3"}
    box.power_cut()


def a_good_one_stays_and_the_way_back_is_one_command(story: Story) -> None:
    """By a stick that is plugged in; and what the new system was told is not for the old one."""
    box = story.going_on("good")
    since = len(box.console.said)
    box.plug_in(updates.stick(story.work / "stick", story.work / "updates/good.raucb"))
    box.comes_back("B", since=since)
    story.tell("a stick was plugged in, and the box runs what lay on it")
    assert box.runs() == ("B", LATER)
    assert box.status()["outcome"] == "confirmed"
    assert box.tries() == {"A_OK": "1", "A_TRY": "0", "B_OK": "1", "B_TRY": "0"}
    # The stick is still in: it is not taken twice.
    said_by_stick = "journalctl -b --no-pager -u 'appliance-update-stick@*'"
    box.sh(f"until {said_by_stick} | grep -q 'runs already'; do sleep 1; done", PATIENCE)

    box.apply(ALONE.replace("192.168.10.1", "192.168.11.1"))
    assert box.generation() == 2
    box.sh("appliance update rollback")
    box.restarts("A")
    assert box.runs() == ("A", story.own) and box.generation() == 1
    said = " ".join(box.run("appliance status")[1].split())
    assert f"generation 2 is a newer system's (version {LATER} made it, this is {story.own})" in said
    assert "192.168.10.1/24" in box.sh("ip -brief address show enp0s17")
    box.sh(f"until {said_by_stick} | grep -q 'was left by'; do sleep 1; done", PATIENCE)
    assert box.runs() == ("A", story.own)
    box.power_cut()


def from_an_https_address(story: Story) -> None:
    """Fetched whole, from a server whose certificate is believed, and installed from the disk."""
    box = story.going_on("fetched")
    trusted = base64.b64encode(story.certificate.encode()).decode()
    box.sh(f"echo '{SERVER} {updates.HOST}' >>/etc/hosts")
    code, said = box.run(f"appliance update https://{updates.HOST}/good.raucb", PATIENCE)
    assert code == 1 and "could not be fetched" in said, said
    box.sh(f"echo {trusted} | base64 -d >>/etc/ssl/certs/ca-certificates.crt")
    since = time.monotonic()
    box.sh(f"appliance update https://{updates.HOST}/good.raucb", PATIENCE)
    story.tell(f"fetched by https and installed in {time.monotonic() - since:.0f} s")
    assert box.sh("ls /data/appliance/*.raucb 2>/dev/null || true") == ""
    found = {each["system"]: each for each in box.status()["systems"]}
    assert found["B"]["next"] and found["B"]["version"] == LATER
    box.sh("sync")
    box.power_cut()
    shutil.move(box.folder / "disk", story.work / "installed")


def cut_in_an_install(story: Story, number: int) -> None:
    instant = random.Random(f"install {SEED} {number}").uniform(1, 20)
    box = story.going_on(f"install-{number}")
    box.shell.write("appliance update /run/updates/good.raucb >/dev/null 2>&1 &\n")
    box.listen(instant)
    box.power_cut()
    _boots(story, box, f"cut {instant:4.1f} s into an install")


def cut_in_a_first_boot(story: Story, number: int) -> None:
    instant = random.Random(f"first boot {SEED} {number}").uniform(0, 40)
    box = story.box(f"first-boot-{number}", story.work / "installed")
    box.power_on(box.with_it)
    box.console.wait_for("Booting `Appliance, system B", PATIENCE)
    box.listen(instant)
    box.power_cut()
    _boots(story, box, f"cut {instant:4.1f} s into a first boot")


def _boots(story: Story, box: Box, what: str) -> None:
    """Always, and with the whole configuration."""
    box.start()
    runs, last = box.runs(), box.status()["last"]
    story.tell(f"{what}: system {runs[0]} runs, generation {box.generation()}; {last or 'no update is known'}")
    assert runs in (("A", story.own), ("B", LATER)) and box.generation() == 1
    assert "192.168.10.1/24" in box.sh("ip -brief address show enp0s17")
    assert "203.0.113.1" in box.sh("ip route show default")
    box.power_cut()
    shutil.rmtree(box.folder)


# -- the tests ---------------------------------------------------------------------------------------------------------

type Part = Callable[[Story], None]

PARTS: dict[str, Part] = {
    each.__name__: each
    for each in (
        from_an_https_address,
        one_that_hangs_is_given_up,
        a_good_one_stays_and_the_way_back_is_one_command,
        one_that_panics_is_given_up,
        what_must_not_be_taken_is_refused,
        one_in_which_nothing_starts_is_given_up,
    )
}
INSTALLS = [f"cut_in_an_install_{number}" for number in range((CUTS + 1) // 2)]
FIRST_BOOTS = [f"cut_in_a_first_boot_{number}" for number in range(CUTS // 2)]


@pytest.fixture(scope="module")
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The chosen tests, all under way; each waits for its own."""
    mine = (item for item in request.session.items if item.fspath == request.node.fspath)
    chosen = {item.callspec.params["part"] for item in mine if isinstance(item, pytest.Function)}
    work = tmp_path_factory.mktemp("u")
    disk = updates.blank(work / "on-a-disk")
    (work / "server").mkdir()
    futures: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(AT_A_TIME) as pool, updates.served(work / "updates", work / "server") as (port, trusted):
        story = Story(work, disk, port, trusted)
        making = pool.submit(updates.make, work, disk)
        first = story.box("first", next(BUILT.glob("appliance-*-amd64.img")))
        try:
            first.start()
            story.own = first.runs()[1]
            first.apply(ALONE)
            first.sh("until ping -c 1 -W 1 203.0.113.1; do :; done")
            story.tell("the office works")
            making.result()
            story.tell("the updates are made")
            first.kept(work / "kept")
            story.tell("the box was kept")
        finally:
            first.power_cut()
        for name in PARTS:
            if name in chosen or (name == from_an_https_address.__name__ and chosen & set(FIRST_BOOTS)):
                futures[name] = pool.submit(PARTS[name], story)
        for number, name in enumerate(INSTALLS):
            if name in chosen:
                futures[name] = pool.submit(cut_in_an_install, story, number)
        for number, name in enumerate(FIRST_BOOTS):
            if name in chosen:
                futures[name] = pool.submit(_after, futures[from_an_https_address.__name__], story, number)
        yield {"story": story, **futures}
        for future in futures.values():
            future.cancel()
        for box in story.boxes:
            box.power_cut()


def _after(installed: Future[None], story: Story, number: int) -> None:
    installed.result()
    cut_in_a_first_boot(story, number)


@pytest.mark.parametrize("part", [*PARTS, *INSTALLS, *FIRST_BOOTS])
def test_update(parts: dict[str, Any], part: str) -> None:
    story: Story = parts["story"]
    try:
        parts[part].result()
    finally:
        print("\n".join(story.said))
        story.said.clear()
