"""A box that stands still, and one whose supervisor is busy: the pulse tells them apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from appliance.adapters.pulse import Pulse
from tests.lab import wait_for

BEATING = """\
from appliance.adapters.pulse import Pulse
pulse = Pulse()
pulse.start()
print("beats", flush=True)
input()
print(pulse.missed(), pulse.missed())
"""


def test_who_is_busy_has_not_stood_still() -> None:
    pulse = Pulse()
    pulse.start()
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        sum(range(10_000))
    subprocess.run(["sleep", "1"], check=True)
    assert pulse.missed() < 1.0
    pulse.close()


def test_who_is_given_no_processor_has() -> None:
    command = [sys.executable, "-c", BEATING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "beats\n"
        os.kill(process.pid, signal.SIGSTOP)
        wait_for(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T", 5, "it stands")
        stopped = time.monotonic()
        wait_for(lambda: time.monotonic() - stopped > 1.0, 5, "a second is over")
        os.kill(process.pid, signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.close()
        first, second = map(float, process.stdout.read().split())
    # Once it was asked, that is known.
    assert first >= 0.9 > second
