"""Updates to try: what `make image` left, changed a little, and signed with its key or with somebody else's.

build/system ─► a later version ─► squashfs ─► good        (its bundle)
                     └─ without Python ──────► mute        nothing of the product starts
                the same with a torn initramfs ► panicking  its kernel finds no root file system
a few bytes ─► tampered, foreign, arm64, older             refused before anything is written
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build"
KEY, CA = BUILD / "update-key/key.pem", BUILD / "update-key/ca.pem"
LATER, BROKEN = "0.2.0", "0.3.0"


def run(*command: str | Path) -> None:
    subprocess.run([str(each) for each in command], check=True, stdout=subprocess.DEVNULL)


def bundle(folder: Path, name: str, root: Path, version: str, arch: str = "amd64", key: Path = KEY) -> None:
    """Makes folder/NAME.raucb, which holds the root file system `root`."""
    inside = folder.parent / f"in-{name}"
    inside.mkdir()
    (inside / "root.squashfs").hardlink_to(root)
    manifest = (BUILD.parent / "image/update.raucm").read_text()
    (inside / "manifest.raucm").write_text(manifest.replace("=VERSION", f"={version}").replace("-ARCH", f"-{arch}"))
    run(
        "rauc", "bundle", f"--key={key}", f"--cert={key}", "--mksquashfs-args=-noD -noF -noI -quiet -no-progress",
        inside, folder / f"{name}.raucb",
    )  # fmt: skip


def squashed(tree: Path, target: Path) -> Path:
    quick = ["-quiet", "-no-progress", "-noappend", "-comp", "gzip", "-Xcompression-level", "1", "-b", "256K"]
    run("mksquashfs", tree, target, *quick)
    return target


def system(tree: Path, version: str) -> None:
    """Makes a tree of this version out of the one that was built."""
    package = tree / "usr/lib/python3/dist-packages/appliance"
    own = (package / "__init__.py").read_text().split('__version__ = "')[1].split('"')[0]
    for path in (package / "__init__.py", tree / "usr/lib/os-release", tree / "usr/lib/rauc/system.conf"):
        path.write_text(path.read_text().replace(own, version))
    # Byte code is never compared with its source.
    for path in (package / "__pycache__").glob("__init__.*"):
        path.unlink()


def make(work: Path) -> Path:
    """Makes all of them in a folder below `work`; returns a file system that holds them, as a stick would."""
    folder = work / "updates"
    folder.mkdir()
    tree = work / "tree"
    run("cp", "-a", (BUILD / "system").resolve(), tree)
    shutil.copy(CA, tree / "usr/lib/rauc/keyring.pem")
    system(tree, LATER)
    good = squashed(tree, work / "good.squashfs")
    bundle(folder, "good", good, LATER)

    # All that GRUB needs of a system: a kernel, and nothing in which it finds its root file system.
    boot = work / "panicking/boot"
    boot.mkdir(parents=True)
    shutil.copy(tree / "boot/vmlinuz", boot)
    (boot / "initrd.img").write_bytes(bytes(512))
    bundle(folder, "panicking", squashed(boot.parent, work / "panicking.squashfs"), BROKEN)

    for path in (tree / "usr/bin").glob("python3*"):
        path.unlink()
    bundle(folder, "mute", squashed(tree, work / "mute.squashfs"), BROKEN)

    few = work / "few"
    few.write_bytes(b"not much" * 100_000)
    run(BUILD.parent / "image/update-key", "/", work / "foreign")
    bundle(folder, "foreign", few, LATER, key=work / "foreign/key.pem")
    bundle(folder, "arm64", few, LATER, arch="arm64")
    bundle(folder, "older", few, "0.0.9")
    bundle(folder, "tampered", few, LATER)
    with (folder / "tampered.raucb").open("r+b") as file:
        file.seek(400_000)
        file.write(b"X")
    (folder / "short.raucb").write_bytes((folder / "older.raucb").read_bytes()[:100_000])

    stick = work / "stick"
    run("mksquashfs", folder, stick, "-noD", "-noF", "-noI", "-quiet", "-no-progress")
    return stick
