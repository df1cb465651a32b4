"""Which disks are sticks: what is plugged in by USB and not in use; never the box's own."""

from __future__ import annotations

from typing import Any

from appliance.shell.sticks import sticks


def disk(
    name: str, tran: str | None, *parts: tuple[str, str | None, list[str | None]], fstype: str | None = None
) -> Any:
    """As lsblk --json --output NAME,TRAN,FSTYPE,MOUNTPOINTS says it; a partition has no `tran`."""
    children = [
        {"name": f"/dev/{part}", "tran": None, "fstype": kind, "mountpoints": mounted} for part, kind, mounted in parts
    ]
    found = {"name": f"/dev/{name}", "tran": tran, "fstype": fstype, "mountpoints": [None]}
    return found | ({"children": children} if children else {})


def test_a_stick_with_and_without_partitions() -> None:
    parted = disk("sda", "usb", ("sda1", "vfat", [None]), ("sda2", "ext4", [None]))
    whole = disk("sdb", "usb", fstype="exfat")
    assert sticks({"blockdevices": [parted, whole]}) == [
        ("/dev/sda1", "vfat"),
        ("/dev/sda2", "ext4"),
        ("/dev/sdb", "exfat"),
    ]


def test_the_boxs_own_disk_is_none() -> None:
    """A Raspberry Pi's card is as removable as a stick, and a box may have been started from a USB disk."""
    card = disk("mmcblk0", "mmc", ("mmcblk0p1", "vfat", [None]), ("mmcblk0p4", "ext4", ["/data"]))
    usb = disk("sda", "usb", ("sda1", "vfat", [None]), ("sda2", "squashfs", ["/"]), ("sda4", "ext4", ["/data"]))
    inside = disk("nvme0n1", "nvme", ("nvme0n1p1", "vfat", [None]))
    assert sticks({"blockdevices": [card, usb, inside]}) == []
    assert sticks({}) == []
