"""What an idle box writes to its flash: the sectors that reach the disk below /data, journal and metadata included.

The office of the demo (tests/labs/office.py), two peers connected, nobody changing anything. The /data of zurich is
a file system of its own (ext4, as in the image), so that the kernel counts what is written to it
(/sys/block/NAME/stat, Documentation/block/stat.rst). A day is extrapolated from the window.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.bench.figures import Bench
from tests.lab import Box, Lab
from tests.labs.office import BRANCH_HOST, Office

WINDOW_SECONDS = int(os.environ.get("BENCH_FLASH_SECONDS", "1200"))
"""Two periods of what is written most often, the time floor (core/takeover/timers.py): every 600 s."""
SETTLE_SECONDS = 40
"""ext4 writes what is left of the start after 30 s at the latest (its commit interval is 5 s)."""
DAY = 86400
PROMISED_MB = 20.0
MEGABYTES = 512
WRITTEN_SECTORS = 6
"""Its place in /sys/block/NAME/stat; sectors are 512 bytes there, whatever the disk."""


class OnFlash(Lab):
    """A lab in which zurich's /data is a disk of its own."""

    def box(self, name: str) -> Box:
        box = super().box(name)
        if name == "zurich":
            image = box.home / "data.img"
            subprocess.run(["truncate", f"--size={MEGABYTES}M", image], check=True)
            # Nothing of the making is left to be done later.
            options = ["-E", "lazy_itable_init=0,lazy_journal_init=0"]
            subprocess.run(["mkfs.ext4", "-q", *options, image], check=True)
            subprocess.run(["mount", "-o", "loop", image, box.data], check=True)
        return box


def measure(bench: Bench) -> None:
    with OnFlash("bench-flash") as lab:
        office = Office(lab).build().go_online()
        office.host.ping(BRANCH_HOST, timeout=15)
        data = office.zurich.data
        try:
            _measure(bench, data)
        finally:
            office.zurich.power_cut()
            subprocess.run(["umount", data], check=True)


def _measure(bench: Bench, data: Path) -> None:
    device = subprocess.run(["findmnt", "-no", "SOURCE", data], check=True, capture_output=True, text=True).stdout
    stat = Path("/sys/block") / device.strip().removeprefix("/dev/") / "stat"
    time.sleep(SETTLE_SECONDS)
    subprocess.run(["sync", "--file-system", data], check=True)
    bench.say(f"flash: an idle office for {WINDOW_SECONDS} s")
    before, started = _bytes(stat), time.time()
    time.sleep(WINDOW_SECONDS)
    written = _bytes(stat) - before
    names = sorted(str(path.relative_to(data)) for path in data.rglob("*") if _new(path, started))
    a_day = written * DAY / WINDOW_SECONDS
    bench.lower("flash-idle-day", "MB", [a_day / 1e6], [PROMISED_MB], "what was promised; extrapolated", 1)
    bench.note(
        f"idle office: {written / 1e3:.0f} kB reached the disk in {WINDOW_SECONDS} s, {a_day / 1e6:.1f} MB a day;"
        f" files written meanwhile: {', '.join(names) or 'none'}"
    )


def _bytes(stat: Path) -> int:
    return int(stat.read_text().split()[WRITTEN_SECTORS]) * 512


def _new(path: Path, since: float) -> bool:
    return path.is_file() and path.stat().st_mtime >= since
