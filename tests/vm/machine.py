"""An emulated machine that runs pytest inside, on the product's own kernel.

    this world                              the machine (QEMU, no hardware acceleration needed)
    ----------                              ----------------------------------------------------
    /  without its mounts ── 9p, read-only ─► /         under an overlay in memory
    /src                  ── 9p ────────────► /src
    /rootfs               ── 9p, read-only ─► /rootfs   what boxes boot from
    a folder of its own   ── 9p ────────────► /out      where it leaves its exit code
    /opt/kernel           ── -kernel, modules in a small initramfs

It has no network card: its labs are namespaces inside it, as everywhere.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

KERNEL = Path("/opt/kernel")
HERE = Path(__file__).parent
SHARES = {"root": None, "src": Path("/src"), "rootfs": Path("/rootfs")}
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


def run_inside(folder: Path, arguments: Sequence[str], seconds: float) -> tuple[int, str]:
    """Boots the machine and runs `pytest ARGUMENTS` in it. Returns pytest's exit code and what the console showed.

    Exit code -1: the machine did not come to an end within `seconds`, or not to a good one.
    """
    out = folder / "out"
    out.mkdir()
    (out / "arguments").write_text("\n".join(arguments))
    root = folder / "root"
    root.mkdir()
    subprocess.run(["mount", "--bind", "/", str(root)], check=True)
    try:
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"]
        command += ["-smp", "2", "-m", "2048", "-nographic", "-no-reboot", "-nic", "none"]
        command += ["-kernel", str(next((KERNEL / "boot").glob("vmlinuz-*"))), "-initrd", str(_initramfs(folder))]
        command += ["-append", "console=ttyS0 quiet loglevel=4 panic=-1"]
        for tag, path in SHARES.items():
            readonly = "off" if tag == "src" else "on"
            share = f"local,path={path or root},mount_tag={tag},security_model=none,readonly={readonly}"
            command += ["-virtfs", share]
        command += ["-virtfs", f"local,path={out},mount_tag=out,security_model=none"]
        with (folder / "console").open("wb") as console:
            machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
            try:
                machine.wait(seconds)
            except subprocess.TimeoutExpired:
                machine.kill()
                machine.wait()
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)
    said = (folder / "console").read_text(errors="replace")
    code = out / "exit"
    return (int(code.read_text()) if code.exists() else -1), said
