"""Updates to try: what `make image` left, changed a little, and signed with its key or with somebody else's.

build/system ─► a later version ─► squashfs ─► good        (its bundle)
                     └─ without Python ──────► bad         nothing of the product starts; or, told so, its PID 1 hangs
                the same with a torn initramfs ► panicking  its kernel finds no root file system
a few bytes ─► tampered, foreign, arm64, older             refused before anything is written
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

BUILD = Path(__file__).parents[2] / "build"
KEY, CA = BUILD / "update-key/key.pem", BUILD / "update-key/ca.pem"
LATER, BROKEN = "0.2.0", "0.3.0"
DISK_BYTES = 2 << 30
HOST = "updates.example"

# systemd stands still when it was hit like this (systemd.directives(7), CrashAction), and feeds no watchdog any more.
# Before its health is asked: without Python that ends in a restart, which may be quicker than the watchdog's driver.
HANG = """\
[Unit]
ConditionPathExists=/data/hang
Before=appliance-health.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'until grep -qx active /sys/class/watchdog/watchdog0/state; do sleep 1; done; \\
    echo hangs-$((40 + 2)) >/dev/ttyS0; kill -SEGV 1'
[Install]
WantedBy=multi-user.target
"""


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
    shutil.rmtree(inside)


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


def blank(path: Path) -> Path:
    """A disk that a machine may have from its start, although what is on it comes later (`make`)."""
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    return path


def make_good(work: Path) -> tuple[Path, Path]:
    """Makes the good one in a folder below `work`; returns the folder, and the tree that is in it."""
    folder = work / "updates"
    folder.mkdir()
    tree = work / "tree"
    run("cp", "-a", (BUILD / "system").resolve(), tree)
    shutil.copy(CA, tree / "usr/lib/rauc/keyring.pem")
    system(tree, LATER)
    bundle(folder, "good", squashed(tree, work / "good.squashfs"), LATER)
    return folder, tree


def make(work: Path, disk: Path) -> Path:
    """Makes all of them in a folder below `work`, which it returns, and lays it on `disk` as a file system."""
    folder, tree = make_good(work)

    # All that GRUB needs of a system: a kernel, and nothing in which it finds its root file system.
    boot = work / "panicking/boot"
    boot.mkdir(parents=True)
    shutil.copy(tree / "boot/vmlinuz", boot)
    (boot / "initrd.img").write_bytes(bytes(512))
    bundle(folder, "panicking", squashed(boot.parent, work / "panicking.squashfs"), BROKEN)

    for path in (tree / "usr/bin").glob("python3*"):
        path.unlink()
    units = tree / "usr/lib/systemd/system"
    (units / "hang.service").write_text(HANG)
    (units / "multi-user.target.wants/hang.service").symlink_to("../hang.service")
    bundle(folder, "bad", squashed(tree, work / "bad.squashfs"), BROKEN)
    shutil.rmtree(tree)

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

    lay(folder, disk)
    return folder


def lay(folder: Path, disk: Path) -> None:
    """Lays the folder on `disk` as a file system."""
    packed = disk.with_name("packed")
    run("mksquashfs", folder, packed, "-noD", "-noF", "-noI", "-quiet", "-no-progress")
    run("dd", f"if={packed}", f"of={disk}", "bs=1M", "conv=notrunc,sparse", "status=none")
    packed.unlink()


def stick(path: Path, update: Path) -> Path:
    """A USB stick as shops sell it, with the update where a box looks for it."""
    with path.open("wb") as file:
        file.truncate(update.stat().st_size + (32 << 20))
    run("mkfs.vfat", "-F", "32", path)
    run("mcopy", "-i", path, update, "::appliance-update.raucb")
    return path


@contextmanager
def served(folder: Path, work: Path) -> Iterator[tuple[int, str]]:
    """The folder, by https on a port of this machine, as HOST; with the certificate that a client must believe."""
    certificate = work / "server.pem"
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-not_before", "20200101000000Z", "-days", "7300", "-subj", f"/CN={HOST}",
        "-addext", f"subjectAltName=DNS:{HOST}",
        "-keyout", work / "server.key", "-out", certificate,
    )  # fmt: skip
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(folder)))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, work / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, certificate.read_text()
    finally:
        server.shutdown()
        server.server_close()
