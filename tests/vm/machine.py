"""Emulated machines on the product's own kernel, with this world's programs: one that runs pytest inside, and one that
stands beside a box.

    this world                              the machine (QEMU, no hardware acceleration needed)
    ----------                              ----------------------------------------------------
    /  without its mounts ── 9p, read-only ─► /         under an overlay in memory
    /src                  ── 9p ────────────► /src
    /rootfs               ── 9p, read-only ─► /rootfs   what boxes boot from
    a folder of its own   ── 9p ────────────► /out      where it leaves its exit code
    /opt/kernel           ── -kernel, modules in a small initramfs

The one with pytest has no network card: its labs are namespaces inside it, as everywhere. A neighbour has neither
/rootfs nor /out, but cards that lead into the switches of a lab, and a root shell (tests/vm/neighbour).
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.vm.cards import Card
from tests.vm.disk_machine import Emulated

KERNEL = Path("/opt/kernel")
HERE = Path(__file__).parent
EARLY_MODULES = ("9p", "9pnet_virtio", "overlay")


def _release() -> str:
    return next((KERNEL / "usr/lib/modules").iterdir()).name


def _module_files() -> list[Path]:
    """What must be loaded before files can be seen, in the order in which it must be."""
    files: dict[Path, None] = {}
    for module in EARLY_MODULES:
        command = ["modprobe", "-d", str(KERNEL / "usr"), "-S", _release(), "--show-depends", module]
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            kind, _, path = line.strip().partition(" ")
            if kind == "insmod":
                files[Path(path.strip())] = None
    return list(files)


def _initramfs(folder: Path) -> Path:
    """busybox, four modules and the script that turns shares into a root."""
    tree = folder / "initramfs"
    for name in ("bin", "dev", "lib", "lower", "memory", "new", "proc", "sys"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for number, module in enumerate(_module_files()):
        content = module.read_bytes()
        name = module.name.removesuffix(".xz")
        (tree / f"lib/{number:02}-{name}").write_bytes(lzma.decompress(content) if module.suffix == ".xz" else content)
    shutil.copy(HERE / "init", tree / "init")
    (tree / "init").chmod(0o755)
    archive = folder / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(tree)) for path in [tree, *sorted(tree.rglob("*"))])
    with archive.open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names.encode(), stdout=out, check=True)
    return archive


def _command(folder: Path, shares: Mapping[str, Path], guest: str, cores: int, megabytes: int) -> list[str]:
    """QEMU's words for a machine whose PID 1 is tests/vm/GUEST."""
    command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"]
    command += ["-smp", str(cores), "-m", str(megabytes), "-no-reboot", "-nic", "none"]
    command += ["-kernel", str(next((KERNEL / "boot").glob("vmlinuz-*"))), "-initrd", str(_initramfs(folder))]
    command += ["-append", f"console=ttyS0 quiet loglevel=4 panic=-1 guest={guest}"]
    for tag, path in shares.items():
        readonly = "on" if tag in {"root", "rootfs"} else "off"
        command += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,readonly={readonly}"]
    return command


@contextmanager
def _world(folder: Path) -> Iterator[Path]:
    """This world's files, without what is mounted over them."""
    root = folder / "root"
    root.mkdir()
    subprocess.run(["mount", "--bind", "/", str(root)], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def run_inside(folder: Path, arguments: Sequence[str], seconds: float) -> tuple[int, str]:
    """Boots the machine and runs `pytest ARGUMENTS` in it. Returns pytest's exit code and what the console showed.

    Exit code -1: the machine did not come to an end within `seconds`, or not to a good one.
    """
    out = folder / "out"
    out.mkdir()
    (out / "arguments").write_text("\n".join(arguments))
    with _world(folder) as root, (folder / "console").open("wb") as console:
        shares = {"root": root, "src": Path("/src"), "rootfs": Path("/rootfs"), "out": out}
        command = [*_command(folder, shares, "guest", 2, 2048), "-nographic"]
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            machine.wait(seconds)
        except subprocess.TimeoutExpired:
            machine.kill()
            machine.wait()
    said = (folder / "console").read_text(errors="replace")
    code = out / "exit"
    return (int(code.read_text()) if code.exists() else -1), said


class Neighbour(Emulated):
    """Who stands beside a box, with a kernel of his own: a stock peer, a provider. Its cards are eth0, eth1, ..."""

    def __init__(self, folder: Path, cards: Sequence[Card]) -> None:
        """`folder` is made."""
        folder.mkdir()
        super().__init__(folder)
        self.cards = cards
        self._files = ExitStack()

    def power_on(self) -> Neighbour:
        root = self._files.enter_context(_world(self.folder))
        command = _command(self.folder, {"root": root, "src": Path("/src")}, "neighbour", 1, 512)
        command += ["-display", "none"]
        for card in self.cards:
            command += card.plug()
        self._start(command, [card.end for card in self.cards])
        return self

    def power_cut(self) -> None:
        super().power_cut()
        for card in self.cards:
            card.unplug()
        self._files.close()
