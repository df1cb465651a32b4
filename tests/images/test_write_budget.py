"""What an idle box writes to its disk: all that reaches it, file system and journal included, for an hour of its time.

The office's router answers, its name server too or not, the branch does not, and nobody changes anything. The emulated
machine's time leaps over what it sleeps, so its hour takes minutes.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.office import NOBODY, OFFICE, PATIENCE, apply, image, is_well, the_tunnel_is_up_by
from tests.vm.disk_machine import DiskMachine

WINDOW = 3600
DAY = 86400
PROMISED_MB = {"resolver": 30.0, "no-resolver": 45.0}
CARDS = ["-device", "virtio-net-pci,netdev=a,addr=10"]
# Not restricted: 203.0.113.1 is this world's loopback, where the name server is; there is no way to anywhere else.
CARDS += ["-netdev", "user,id=a,net=203.0.113.0/24,host=203.0.113.1"]
CARDS += ["-device", "virtio-net-pci,netdev=b,addr=11", "-netdev", NOBODY.format("b")]
NAMES = ["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1"]


@pytest.fixture
def names(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "no-resolver":
        yield request.param
        return
    with subprocess.Popen([*NAMES, "--address=/#/203.0.113.1"], stderr=subprocess.DEVNULL) as server:
        yield request.param
        server.terminate()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[DiskMachine]:
    made = DiskMachine(tmp_path, image(), leaps=True)
    yield made
    made.power_cut()


def written(machine: DiskMachine) -> tuple[int, int]:
    """Bytes and requests that have reached the disk (/sys/block/NAME/stat; its sectors have 512 bytes)."""
    words = machine.sh("cat /sys/block/vda/stat").split()
    return int(words[6]) * 512, int(words[4])


@pytest.mark.parametrize("names", PROMISED_MB, indirect=True)
def test_an_idle_hour(machine: DiskMachine, names: str) -> None:
    started = time.monotonic()
    machine.power_on(CARDS).booted(PATIENCE)
    is_well(machine)
    apply(machine, OFFICE + "dns: [203.0.113.1]\n")
    the_tunnel_is_up_by(machine, "kernel")
    # What is left of the start is written after 30 s (first-mounts, commit=).
    machine.sh("sync; sleep 120; sync; touch /run/begun", PATIENCE)
    booted = time.monotonic() - started
    before = written(machine)
    machine.sh(f"sleep {WINDOW}", PATIENCE)
    after = written(machine)
    took = time.monotonic() - started - booted
    amount, requests = (two - one for one, two in zip(before, after, strict=True))
    a_day = amount * DAY / WINDOW / 1e6
    print(
        f"idle for {WINDOW} s of its time: {amount / 1e3:.0f} kB in {requests} requests, {a_day:.1f} MB a day"
        f" (booting and setting up took {booted:.0f} s here, the hour {took:.0f} s)"
    )
    print(machine.sh("find /data -newer /run/begun -type f -exec ls -l {} +"))
    print(machine.sh("journalctl -b --no-pager --since=@$(stat -c %Y /run/begun) | tail -n 40"))
    assert a_day < PROMISED_MB[names]
