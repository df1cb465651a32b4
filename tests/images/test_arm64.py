"""The arm64 image: what a Raspberry Pi looks for on it, and virtual machines that boot it.

make test-image ARCH=arm64

build/image/*.img ─► its FAT partition, read as a Pi's firmware reads it
                  ─► disk of 4 GB ─► U-Boot or EDK2 ─► GRUB ─► kernel ─► the product

The neighbours of the office that it becomes: tests/images/lines.py.
"""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import office
from tests.images.lines import (
    a_branch_by_wg_quick,
    a_session_over_a_vlan,
    a_vlan_and_the_short_way,
    beside,
    the_bundled_engine_takes_over,
)
from tests.images.office import CARDS, OFFICE, PATIENCE, apply, is_well, the_tunnel_is_up_by
from tests.lab import Lab, wait_for
from tests.vm.disk_machine import ARM_U_BOOT, ARM_UEFI, Board, DiskMachine, RaspberryPi

# By the names that the firmware looks for on each board, where Linux's own are wanted (`upstream_kernel`).
BOARDS = {
    "pi3": ["bcm2837-rpi-3-a-plus.dtb", "bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb"],
    "pi4": ["bcm2711-rpi-4-b.dtb", "bcm2711-rpi-400.dtb", "bcm2711-rpi-cm4-io.dtb"],
    "pi5": ["bcm2712-rpi-5-b.dtb"],
}
# Before config.txt is read. A Pi 5 has all of it in its flash memory.
FIRST_STAGE = {"pi3": ["bootcode.bin", "start.elf", "fixup.dat"], "pi4": ["start4.elf", "fixup4.dat"], "pi5": []}


@pytest.fixture(scope="module")
def image() -> Path:
    return office.image("arm64")


class Firmware:
    """What a Pi's firmware sees of the disk: the first FAT partition of the MBR."""

    def __init__(self, image: Path) -> None:
        with image.open("rb") as disk:
            table = disk.read(512)
        entries = [struct.unpack("<4xB3xII", table[446 + 16 * n : 462 + 16 * n]) for n in range(4)]
        start = next(start for kind, start, _ in entries if kind in {0x0C, 0x0E})
        self.place = f"{image}@@{start * 512}"
        listed = subprocess.run(["mdir", "-/", "-b", "-i", self.place], check=True, capture_output=True, text=True)
        self.files = [line.removeprefix("::/") for line in listed.stdout.split()]

    def read(self, name: str) -> bytes:
        return subprocess.run(["mtype", "-i", self.place, f"::{name}"], check=True, capture_output=True).stdout

    def copy(self, name: str, folder: Path) -> Path:
        copied = folder / name
        copied.write_bytes(self.read(name))
        return copied

    def settings(self, board: str) -> dict[str, str]:
        """config.txt as `board` reads it (raspberrypi.com/documentation/computers/config_txt.html)."""
        found, counts = {}, True
        for line in self.read("config.txt").decode().splitlines():
            if section := re.fullmatch(r"\[(\w+)\]", line):
                counts = section[1] in {"all", board}
            elif counts and line and not line.startswith("#"):
                name, _, value = line.partition("=")
                found[name] = value
        return found


@pytest.mark.parametrize("board", BOARDS)
def test_a_raspberry_pi_finds_all_that_it_looks_for(image: Path, board: str) -> None:
    firmware = Firmware(image)
    assert set(FIRST_STAGE[board]) | set(BOARDS[board]) <= set(firmware.files)
    settings = firmware.settings(board)
    assert settings["arm_64bit"] == settings["upstream_kernel"] == "1"
    for name in BOARDS[board]:
        # "Flattened device tree" (Devicetree Specification, 5.2), of a Raspberry Pi of this kind.
        tree = firmware.read(name)
        assert tree[:4] == b"\xd0\x0d\xfe\xed"
        assert f"Raspberry Pi {board[2]}".encode() in tree or b"Compute Module 4" in tree
    # The 64-bit program that the firmware starts, and the program that U-Boot starts after it.
    assert b"U-Boot 20" in firmware.read(settings["kernel"])
    efi = firmware.read("EFI/BOOT/BOOTAA64.EFI")
    (header,) = struct.unpack_from("<I", efi, 0x3C)
    assert efi[header : header + 6] == b"PE\0\0\x64\xaa"
    assert {"EFI/debian/grub.cfg", "EFI/debian/grubenv"} <= set(firmware.files)
    overlays = [value for name, value in settings.items() if name == "dtoverlay"]
    assert all(f"overlays/{name}.dtbo" in firmware.files for name in overlays)


@pytest.mark.parametrize(
    ("board", "model", "tree"),
    [("pi3", "raspi3b", "bcm2837-rpi-3-b.dtb"), ("pi4", "raspi4b", "bcm2711-rpi-4-b.dtb")],
    ids=["pi3", "pi4"],
)
def test_an_emulated_raspberry_pi_starts_the_menu_from_its_card(
    image: Path, tmp_path: Path, board: str, model: str, tree: str
) -> None:
    # Linux is not waited for: GRUB takes minutes to read it from the emulated card.
    firmware = Firmware(image)
    pi = RaspberryPi(tmp_path, image, model)
    try:
        pi.power_on(firmware.copy(firmware.settings(board)["kernel"], tmp_path), firmware.copy(tree, tmp_path))
        pi.console.wait_for("Booting `Appliance, system A'", PATIENCE)
    finally:
        pi.power_cut()


@pytest.mark.parametrize(
    ("model", "tree", "uart", "shows"),
    [
        ("raspi3b", "bcm2837-rpi-3-b.dtb", "0x3f215040", ["Raspberry Pi 3 Model B", "Running /scripts/local-bottom"]),
        # And no further: then it looks for an interrupt controller that the emulated board has not.
        ("raspi4b", "bcm2711-rpi-4-b.dtb", "0xfe215040", ["Raspberry Pi 4 Model B", "Brought up 1 node, 4 CPUs"]),
    ],
    ids=["pi3", "pi4"],
)
def test_an_emulated_raspberry_pi_runs_the_kernel_with_its_own_device_tree(
    image: Path, tmp_path: Path, model: str, tree: str, uart: str, shows: list[str]
) -> None:
    """A Pi 3 finds its card, and the system on it; what is new is made then, as on any other disk."""
    system = _boot_files(image, tmp_path)
    line = f"root=PARTLABEL=root-a ro rootfstype=squashfs console=ttyS1,115200 earlycon=uart8250,mmio32,{uart} panic=-1"
    pi = RaspberryPi(tmp_path, image, model)
    try:
        tree_file = Firmware(image).copy(tree, tmp_path)
        pi.power_on(system / "vmlinuz", tree_file, ["-initrd", str(system / "initrd.img"), "-append", line])
        for each in shows:
            pi.console.wait_for(each, PATIENCE)
    finally:
        pi.power_cut()


def _boot_files(image: Path, folder: Path) -> Path:
    """Kernel and initramfs of the first system: GRUB would take minutes to read them from an emulated card."""
    with image.open("rb") as disk:
        # The second entry of the GPT, where it begins (UEFI 2.10, table 5.6).
        disk.seek(2 * 512 + 128 + 32)
        (start,) = struct.unpack("<Q", disk.read(8))
    command = ["unsquashfs", "-quiet", "-no-progress", "-offset", str(start * 512), "-dest", str(folder / "system")]
    subprocess.run([*command, str(image), "boot"], check=True)
    return folder / "system/boot"


@pytest.fixture
def machine(tmp_path: Path, image: Path, request: pytest.FixtureRequest) -> Iterator[DiskMachine]:
    board: Board = request.param
    made = DiskMachine(tmp_path, image, board=board)
    yield made
    made.power_cut()


@pytest.mark.parametrize("machine", [ARM_U_BOOT], indirect=True, ids=["u-boot"])
def test_from_the_file_through_u_boot_to_an_office(machine: DiskMachine, lab: Lab, tmp_path: Path) -> None:
    machine.power_on(CARDS).booted(PATIENCE)
    is_well(machine)
    # The device tree is the one that the firmware handed on, through U-Boot and GRUB.
    assert machine.sh("tr -d '\\0' </proc/device-tree/model; uname -m").strip().endswith("aarch64")
    # A person at the serial line is asked what a box must know.
    machine.console.wait_for("This box is new. Press Enter to set it up", PATIENCE)

    apply(machine, OFFICE)
    the_tunnel_is_up_by(machine, "kernel")
    assert "wireguard" in machine.sh("lsmod")

    # The boot choice: GRUB, started by U-Boot, counts on the disk. System B has one try left, and gets it; the power
    # goes before anything in it could confirm itself, and A comes back. That is the wrong one: B was not on trial, so A
    # gives it three more tries, and all that was confirmed is there.
    identity = machine.sh("cat /data/machine-id")
    machine.sh("cd /dev/disk/by-partlabel; dd if=root-a of=root-b bs=4M conv=fsync status=none", PATIENCE)
    machine.sh("grub-editenv /efi/EFI/debian/grubenv set ORDER='B A' B_OK=1 B_TRY=2; sync")
    machine.power_cut()
    machine.power_on(CARDS).boots("B", PATIENCE)
    environment = "EFI/debian/grubenv"
    wait_for(lambda: b"B_TRY=3" in Firmware(machine.disk).read(environment), 30, "the try is on the disk", 0.5)
    machine.power_cut()
    with beside(machine, lab, tmp_path / "others") as others:
        # As far as a shell in A, which asks for the restart.
        machine.booted(PATIENCE, machine.boots("B", PATIENCE))
        assert "Booting `Appliance, system A'" in machine.console.said
        assert machine.sh("cat /data/machine-id") == identity
        is_well(machine)
        a_vlan_and_the_short_way(machine, others)
        branch = a_branch_by_wg_quick(machine, others)
        a_session_over_a_vlan(machine, others, branch)
    the_bundled_engine_takes_over(machine)
    print(machine.sh("systemd-analyze --no-pager; systemd-analyze blame --no-pager | head -n 12; free -m; df -h /data"))


@pytest.mark.parametrize("machine", [ARM_UEFI], indirect=True, ids=["uefi"])
def test_a_machine_with_uefi_boots_the_same_file(machine: DiskMachine) -> None:
    machine.power_on(CARDS).booted(PATIENCE)
    is_well(machine)
    assert machine.run("test -d /sys/firmware/efi")[0] == 0
    print(machine.sh("systemd-analyze --no-pager; free -m"))
