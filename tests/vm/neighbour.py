"""An emulated machine that stands beside a box: a stock peer, a provider, hosts, on the product's own kernel.

    this world                              the machine
    ----------                              -----------
    /  without its mounts ── 9p, read-only ─► /         under an overlay in memory: this world's programs
    /src                  ── 9p ────────────► /src
    /opt/kernel           ── -kernel, modules in a small initramfs
    switches of a lab     ── cards ─────────► eth0, eth1, ...
    shell                 ◄── serial line 2 ──► a root shell (tests/vm/beside)

It is there after a few seconds, where a whole system would take a minute.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.vm.cards import Card
from tests.vm.disk_machine import Emulated
from tests.vm.machine import KERNEL, _initramfs


class Neighbour(Emulated):
    """One such machine. `folder` is made; `cards` are in the order of their places."""

    def __init__(self, folder: Path, cards: Sequence[Card]) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.cards = cards
        self.root = folder / "root"
        self.root.mkdir()

    def power_on(self) -> Neighbour:
        """Once: what it has written is gone with it."""
        subprocess.run(["mount", "--bind", "/", str(self.root)], check=True)
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"]
        command += ["-smp", "1", "-m", "512", "-display", "none", "-no-reboot", "-nic", "none"]
        command += ["-kernel", str(next((KERNEL / "boot").glob("vmlinuz-*"))), "-initrd", str(_initramfs(self.folder))]
        command += ["-append", "console=ttyS0 quiet loglevel=4 panic=-1 guest=beside"]
        for tag, path, readonly in (("root", self.root, "on"), ("src", "/src", "off")):
            command += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,readonly={readonly}"]
        for card in self.cards:
            command += card.plug()
        self._start(command, [card.end for card in self.cards])
        return self

    def power_cut(self) -> None:
        if self._emulator is None:
            return
        super().power_cut()
        for card in self.cards:
            card.unplug()
        subprocess.run(["umount", "--lazy", str(self.root)], check=True)
