"""An emulated machine that boots a disk file as hardware would: firmware, boot loaders, kernel.

    disk file ── virtio ──► MINI_PC:    OVMF (Microsoft's keys enrolled) ─► shim ─► GRUB ─► kernel ─► the product
                            ARM_UEFI:   EDK2 ─► GRUB ─► ...
                            ARM_U_BOOT: U-Boot ─► GRUB ─► ..., as on a Raspberry Pi after its first, closed stage
    console   ◄── serial line 1 ──► what a person at the serial line sees and types
    shell     ◄── serial line 2 ──► a root shell of the test's own, by a unit in the machine's SMBIOS strings
                                    (systemd.system-credentials(7), systemd.extra-unit.*): the image knows nothing of it

No hardware acceleration is needed. The power is cut by killing the emulator; the disk file is then as a disk would be
whose cache had been written.
"""

from __future__ import annotations

import base64
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_CONTROL = re.compile(r"\x1b(?:\[[0-9;?!]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)|\r")
_SHELL = """\
[Unit]
Description=A shell for the test
DefaultDependencies=no
After=local-fs.target systemd-tmpfiles-setup.service

[Service]
ExecStart=/bin/sh -c 'echo shell-$((40 + 1)); exec /bin/bash --noprofile --norc'
Environment=HOME=/root TERM=dumb LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/%s
Restart=always
"""
_WANTED = "[Unit]\nWants=test-shell.service\n"


@dataclass(frozen=True)
class Board:
    """A kind of machine: how QEMU is called for it (`command`), its UEFI's program and empty variables (where it has
    one), and what Linux calls its second serial line."""

    command: tuple[str, ...]
    shell: str
    uefi: tuple[Path, Path] | None = None


_PC = ("qemu-system-x86_64", "-machine", "q35,smm=on", "-cpu", "Nehalem")
_SECURE = ("-global", "driver=cfi.pflash01,property=secure,value=on")
_OVMF, _AAVMF = Path("/usr/share/OVMF"), Path("/usr/share/AAVMF")
MINI_PC = Board((*_PC, *_SECURE), "ttyS1", (_OVMF / "OVMF_CODE_4M.secboot.fd", _OVMF / "OVMF_VARS_4M.ms.fd"))
_ARM = ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72")
ARM_UEFI = Board(_ARM, "ttyAMA1", (_AAVMF / "AAVMF_CODE.no-secboot.fd", _AAVMF / "AAVMF_VARS.fd"))
ARM_U_BOOT = Board((*_ARM, "-bios", "/usr/lib/u-boot/qemu_arm64/u-boot.bin"), "ttyAMA1")


class Line:
    """One serial line: what it has said so far, without what moves a cursor.

    Whoever listens to one takes in all that are in `company` with it: the machine's other line, and those of a machine
    beside it (`together`). The buffer of a line that nobody reads is full after some 300 letters. A 16550 then throws
    away what comes; on a PL011 QEMU waits until there is room, and the whole machine stands still, network cards too.
    """

    def __init__(self, end: socket.socket, log: Path, company: list[Line]) -> None:
        self.end, self.log, self.company = end, log, company
        self.said, self._heard = "", b""
        company.append(self)

    def wait_for(self, pattern: str, seconds: float, since: int = 0) -> re.Match[str]:
        """Waits until the line has shown `pattern` (a regular expression), in what it said from `since` on."""
        end = time.monotonic() + seconds
        while True:
            found = re.compile(pattern, re.MULTILINE).search(self.said, since)
            if found:
                return found
            left = end - time.monotonic()
            if left <= 0 or not self.hear(left):
                shown = self.said[-4000:]
                raise AssertionError(f"the line did not show {pattern!r} in {seconds} s; its end:\n{shown}")

    def write(self, text: str) -> None:
        self.end.sendall(text.encode())

    def hear(self, seconds: float) -> bool:
        """Takes in what the line shows next; False where it stays silent so long, or is gone."""
        end = time.monotonic() + seconds
        while True:
            ends = {self.end: self} | {each.end: each for each in self.company}
            ready = select.select([*ends], [], [], max(end - time.monotonic(), 0))[0]
            for other in [ends[each] for each in ready if each is not self.end]:
                if not other._take():
                    self.company.remove(other)
            if self.end in ready:
                return self._take()
            if time.monotonic() >= end:
                return False

    def _take(self) -> bool:
        heard = self.end.recv(65536)
        with self.log.open("ab") as log:
            log.write(heard)
        self._heard += heard
        # As a whole, since what controls the screen may arrive in pieces.
        self.said = _CONTROL.sub("", self._heard.decode(errors="replace"))
        return bool(heard)


class Emulated:
    """An emulator that runs, its two lines, and a root shell at the second one.

    `folder` holds its files, and what its lines showed (folder/console, folder/shell).
    """

    console: Line
    shell: Line

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._emulator: subprocess.Popen[bytes] | None = None

    def _start(
        self, command: Sequence[str], fds: Sequence[int] = (), lines: Sequence[str] = ("console", "shell")
    ) -> None:
        """Runs QEMU with two serial lines more, in the order of `lines`. `fds`: what it takes over besides."""
        words, theirs = list(command), []
        company: list[Line] = []
        for name in lines:
            here, there = socket.socketpair()
            theirs.append(there)
            words += ["-chardev", f"socket,id={name},fd={there.fileno()}", "-serial", f"chardev:{name}"]
            setattr(self, name, Line(here, self.folder / name, company))
        fds = [*fds, *(each.fileno() for each in theirs)]
        self._emulator = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=fds)
        for each in theirs:
            each.close()

    def power_cut(self) -> None:
        """Ends it at this instant."""
        if self._emulator is not None:
            self._emulator.kill()
            self._emulator.wait()
            for line in (self.console, self.shell):
                if line in line.company:
                    line.company.remove(line)
                line.end.close()
        self._emulator = None

    @property
    def running(self) -> bool:
        return self._emulator is not None and self._emulator.poll() is None

    def booted(self, seconds: float, since: int = 0) -> Self:
        """Waits for the test's own shell, in what its line says from `since` on."""
        end = time.monotonic() + seconds
        # Not a letter before: the firmware and GRUB listen on this line, too, and would take it for a choice.
        while "shell-41" not in self.shell.said[since:]:
            left = end - time.monotonic()
            assert self.running, "the emulator has ended by itself"
            assert left > 0, (
                f"no shell after {seconds} s; its line said {self.shell.said[-400:]!r}; the console's end:\n"
                f"{self.console.said[-4000:]}"
            )
            self.shell.hear(min(left, 1))
        while "ready-42" not in self.shell.said[since:]:
            # Said again: what is typed while the shell sets up its line may be thrown away.
            self.shell.write("stty -echo -onlcr cols 400; PS1= PS2=; dmesg -n 1; echo ready-$((40 + 2))\n")
            again = min(time.monotonic() + 20, end)
            while "ready-42" not in self.shell.said[since:] and (left := again - time.monotonic()) > 0:
                self.shell.hear(left)
            assert time.monotonic() < end, f"the shell did not answer; its end:\n{self.shell.said[-4000:]}"
        return self

    def run(self, command: str, seconds: float = 120) -> tuple[int, str]:
        """Runs a line of shell in it; returns exit code and what it showed."""
        since = len(self.shell.said)
        self.shell.write(f"echo begin-$((40 + 2)); ( {command}\n) </dev/null 2>&1; echo end-$?-\n")
        found = self.shell.wait_for(r"begin-42\n([^\0]*?)end-(\d+)-", seconds, since)
        return int(found[2]), found[1]

    def sh(self, command: str, seconds: float = 120) -> str:
        """As `run`, for a command that must succeed."""
        code, shown = self.run(command, seconds)
        assert code == 0, f"{command}\nexit code {code}:\n{shown}"
        return shown


def together(one: Emulated, other: Emulated) -> None:
    """From now on whoever listens to one of the two, both running, takes in what the other one says."""
    company = one.shell.company
    company += other.shell.company
    for line in company:
        line.company = company


def _flashed(image: Path, disk: Path, gigabytes: int) -> Path:
    """A disk of that size with the image on it."""
    subprocess.run(["cp", "--sparse=always", str(image), str(disk)], check=True)
    with disk.open("r+b") as file:
        file.truncate(gigabytes << 30)
    return disk


class RaspberryPi(Emulated):
    """A Raspberry Pi of `model` (QEMU's name of the board) and its card.

    The emulator takes the place of the closed firmware: it loads what that would find on the card. The second serial
    line, the small one, is a Pi's console.
    """

    def __init__(self, folder: Path, image: Path, model: str) -> None:
        super().__init__(folder)
        # A power of two, as QEMU wants cards.
        self.model, self.card = model, _flashed(image, folder / "card", 2)

    def power_on(self, program: Path, tree: Path, more: Sequence[str] = ()) -> Self:
        """Starts `program` (U-Boot, or Linux) with the device tree `tree`; `more` are further arguments of QEMU."""
        command = ["qemu-system-aarch64", "-machine", self.model, "-accel", "tcg,thread=multi,tb-size=512"]
        command += ["-display", "none", "-kernel", str(program), "-dtb", str(tree)]
        command += ["-drive", f"if=sd,file={self.card},format=raw,cache=unsafe", *more]
        self._start(command, lines=("shell", "console"))
        return self


class DiskMachine(Emulated):
    """One machine and its disk."""

    def __init__(
        self,
        folder: Path,
        image: Path,
        gigabytes: int = 4,
        board: Board = MINI_PC,
        discards: bool = True,
        cores: int = 2,
        leaps: bool = False,
    ) -> None:
        """`discards`: what the disk is told to forget is gone; otherwise it says so, and keeps it.

        `leaps`: its time leaps over what it sleeps, so that idle hours pass in minutes; it has one core, then.
        """
        super().__init__(folder)
        self.board, self.cores, self.leaps = board, 1 if leaps else cores, leaps
        self.units = {
            "extra-unit.test-shell.service": _SHELL % board.shell,
            "unit-dropin.sysinit.target": _WANTED,
            # Of 20 s an emulated processor needs all for an `apply`, when others want this machine, too.
            "unit-dropin.appliance.service": "[Service]\nWatchdogSec=60\n",
        }
        """What systemd is given besides its own units (systemd.system-credentials(7))."""
        self.discard = "unmap" if discards else "ignore"
        self.disk = _flashed(image, folder / "disk", gigabytes)
        if board.uefi:
            shutil.copy(board.uefi[1], folder / "variables")

    def power_on(self, more: Sequence[str] = (), fds: Sequence[int] = ()) -> Self:
        """Starts it. `more` are further arguments of QEMU, `fds` the file descriptors that they name."""
        command = [*self.board.command, "-accel", f"tcg,thread={'single' if self.leaps else 'multi'},tb-size=512"]
        # An instruction takes 8 ns of its time (QEMU, "TCG instruction counting").
        command += ["-icount", "shift=3,sleep=off", "-rtc", "clock=vm"] if self.leaps else []
        command += ["-smp", str(self.cores), "-m", "1024", "-display", "none", "-nic", "none"]
        if self.board.uefi:
            for unit, file in enumerate((self.board.uefi[0], self.folder / "variables")):
                readonly = "on" if unit == 0 else "off"
                command += ["-drive", f"if=pflash,format=raw,unit={unit},file={file},readonly={readonly}"]
        command += ["-drive", f"if=none,id=disk,file={self.disk},format=raw,cache=unsafe,discard={self.discard}"]
        command += ["-device", "virtio-blk-pci,drive=disk,bootindex=0"]
        for name, text in self.units.items():
            encoded = base64.b64encode(text.encode()).decode()
            command += ["-smbios", f"type=11,value=io.systemd.credential.binary:systemd.{name}={encoded}"]
        self._start([*command, *more], fds)
        return self

    def listen(self, seconds: float) -> None:
        """Lets it run for so long, whatever it shows: for a power cut in the middle of anything."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.console.hear(left):
            pass

    def boots(self, system: str, seconds: float, since: int = 0) -> int:
        """Waits until GRUB starts system A or B, in what the console says from `since` on.

        Returns from where on to look for its shell.
        """
        self.console.wait_for(rf"Booting `Appliance, system {system}'", seconds, since)
        while self.shell.hear(0):
            pass
        return len(self.shell.said)
