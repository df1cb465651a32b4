"""The box itself: supervisor, configuration, disk, engine, power; and boxes that lack nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import Box
from tests.labs.faults.office import OFFICE_CASES, well
from tests.labs.office import Office, in_order

fault = OFFICE_CASES.fault


@fault("nothing: head office")
def nothing(office: Office) -> Iterator[Box]:
    yield office.zurich


@fault("nothing: branch")
def nothing_there(office: Office) -> Iterator[Box]:
    yield office.geneva


@fault("supervisor dead", "supervisor", said="does not run")
def dead(office: Office) -> Iterator[Box]:
    office.zurich.run("systemctl", "stop", "appliance")
    try:
        yield office.zurich
    finally:
        office.zurich.run("systemctl", "start", "appliance")
        in_order(office.zurich, 30)


@fault("supervisor hangs", "supervisor")
def hangs(office: Office) -> Iterator[Box]:
    office.zurich.run("systemctl", "kill", "--signal=STOP", "appliance")
    try:
        yield office.zurich
    finally:
        # systemd's watchdog may have ended and started it by now.
        office.zurich.run("systemctl", "kill", "--signal=CONT", "appliance", check=False)
        in_order(office.zurich, 60)
        well(office)


@fault("no configuration yet", "no-configuration")
def first_setup(office: Office) -> Iterator[Box]:
    fresh = office.lab.box("fresh")
    fresh.attach(office.wan, "enp1s0")
    fresh.boot()
    try:
        yield fresh
    finally:
        fresh.shutdown()


@fault("disk full", "disk-full", about=("/run",))
def disk_full(office: Office) -> Iterator[Box]:
    """A file system that is as small as what is on it."""
    size = office.zurich.sh("stat -fc '%b*%S' /run")
    used = int(office.zurich.sh("df --output=used -B1 /run | tail -n1"))
    office.zurich.run("mount", "-o", f"remount,size={used + (2 << 20)}", "/run")
    blocks, _, length = size.partition("*")
    try:
        yield office.zurich
    finally:
        office.zurich.run("mount", "-o", f"remount,size={int(blocks) * int(length)}", "/run")


@fault("kernel's WireGuard not loaded", "engine", about=("office",), said="wireguard.ko")
def engine(office: Office) -> Iterator[Box]:
    folder = f"/lib/modules/{os.uname().release}"
    office.zurich.put(f"{folder}/modules.dep", "kernel/drivers/net/wireguard/wireguard.ko.xz:\n")
    try:
        yield office.zurich
    finally:
        office.zurich.run("rm", "-r", folder)


@contextmanager
def below(box: Box, folder: str, files: dict[str, str]) -> Iterator[None]:
    """A part of /sys as another board has it."""
    box.run("mount", "-t", "tmpfs", "board", folder)
    try:
        for path, text in files.items():
            box.put(f"{folder}/{path}", f"{text}\n")
        yield
    finally:
        box.run("umount", folder)


@fault("power supply too weak", "undervoltage", said="0x50005")
def undervoltage(office: Office) -> Iterator[Box]:
    with below(office.zurich, "/sys/devices/platform", {"soc/soc:firmware/get_throttled": "50005"}):
        yield office.zurich


@fault("too hot", "too-hot", said="83 °C")
def too_hot(office: Office) -> Iterator[Box]:
    texts = {"type": "cpu-thermal", "temp": "83100", "trip_point_0_type": "critical", "trip_point_0_temp": "90000"}
    files = {f"thermal_zone0/{file}": text for file, text in texts.items()}
    with below(office.zurich, "/sys/class/thermal", files):
        yield office.zurich
