"""Both boxes of a pair get an update by one command, one after the other, and the office works meanwhile.

The drawing stands in tests/labs/pair.py. Boxes here have no two systems and no RAUC: a script in its place says what it
was told, and every restart runs the same system. What RAUC and GRUB do with it, tests/images shows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from appliance.core.turns import sentence
from appliance.shell import turns
from appliance.shell.paths import Paths
from tests.lab import Box, Lab, Probe, wait_for
from tests.labs.pair import HOST, LAPTOP, Duo, pair, prefer_alpha

RAUC = """\
#!/bin/sh
# rauc(1), as far as appliance/adapters/rauc.py asks for it. A bundle is a text: its version, and what is wrong with it.
at=/data/slots
booted=$(cat $at/booted)
[ "$booted" = A ] && other=B || other=A
case "$*" in
info*) for file; do :; done; printf '{"compatible":"appliance-lab","version":"%s"}' "$(head -n 1 "$file")" ;;
"status mark-active other") echo "$other" >$at/next ;;
"status mark-bad other") echo "$booted" >$at/next ;;
"status mark-"*) ;;
status*) echo '{"compatible":"appliance-lab","slots":[]}' ;;
install*)
    if grep -q "not on $(cat /data/appliance/box)" "$2"; then echo "LastError: No space left on device"; exit 1; fi
    echo "100% Installing done."
    cp "$2" $at/installed ;;
esac
"""
BUNDLE = "9.0.0\n" + "x" * 1_500_000 + "\n"


class Restarting:
    """A box that is started again whenever it has stopped, in the system that was to boot next."""

    def __init__(self, box: Box) -> None:
        self.box, self.restarts, self.over = box, 0, False
        (box.data / "slots").mkdir(exist_ok=True)
        self._system("A")
        self.dress()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _system(self, slot: str) -> None:
        for name in ("booted", "next"):
            (self.box.data / "slots" / name).write_text(slot)
        (self.box.data / "slots/cmdline").write_text(f"rauc.slot={slot}\n")

    def dress(self) -> None:
        """What an image has, and its health unit."""
        self.box.put("/usr/bin/rauc", RAUC, 0o755)
        self.box.put("/efi/EFI/debian/grubenv", "ORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY=0\n")
        self.box.sh("mount --bind /data/slots/cmdline /proc/cmdline")
        # Otherwise nspawn would start it again by itself, in the same network.
        self.box.put("/run/systemd/system/systemd-reboot.service.d/off.conf", "[Unit]\nSuccessAction=poweroff-force\n")
        self.box.sh("systemctl daemon-reload")
        self.settled = self.box.run("appliance", "update", "settle", check=False, timeout=240)

    def _watch(self) -> None:
        while not self.over:
            if not self.box.running:
                self.box.power_cut()
                self._system((self.box.data / "slots/next").read_text().strip())
                self.box.boot()
                self.restarts += 1
                self.dress()
            else:
                threading.Event().wait(0.05)

    @property
    def installed(self) -> bool:
        return (self.box.data / "slots/installed").exists()


@pytest.fixture(scope="module")
def duo() -> Iterator[Duo]:
    with Lab("pair-update", __doc__ or "") as lab:
        duo = Duo(lab).build().boot()
        duo.settled(duo.alpha, 40)
        duo.laptop.ping(HOST, timeout=30)
        yield duo


@contextmanager
def restarting(duo: Duo) -> Iterator[tuple[Restarting, Restarting]]:
    both = alpha, bravo = Restarting(duo.alpha), Restarting(duo.bravo)
    try:
        yield both
    except AssertionError:
        for box in (duo.alpha, duo.bravo):
            print(box.name, told(box), json.dumps(pair(box)), box.journal("-u", "appliance", "-u", "appliance-update"))
        print(alpha.settled, bravo.settled)
        raise
    finally:
        for each in both:
            each.over = True
        for each in both:
            each.thread.join(60)


def told(box: Box) -> str:
    """What the box knows, "" while that is nothing; read from its disk, since it may be going down just now."""
    known = turns.read(Paths(box.home))
    return sentence(known) if known else ""


def test_one_that_one_box_does_not_take_restarts_none(duo: Duo) -> None:
    prefer_alpha(duo)
    with restarting(duo) as (alpha, bravo):
        duo.alpha.put("/tmp/it.raucb", BUNDLE + "not on bravo\n")
        done = duo.alpha.run("appliance", "update", "/tmp/it.raucb", check=False, timeout=60)
        print(done.stdout, done.stderr)
        assert done.returncode == 1 and "bravo could not take it: the update was not installed: No space" in done.stdout
        wait_for(lambda: "stopped: alpha was not changed; bravo could not take it" in told(duo.bravo), 20, "both know")
        assert told(duo.alpha) == told(duo.bravo)
        assert alpha.restarts == bravo.restarts == 0


def test_both_are_updated_by_one_command_and_the_office_works(duo: Duo) -> None:
    prefer_alpha(duo)
    with restarting(duo) as (alpha, bravo):
        with Probe(duo.laptop, duo.host, HOST) as inward, Probe(duo.host, duo.laptop, LAPTOP) as outward:
            inward.flowing(timeout=30, packets=100)
            # On the backup: the master has to fetch it.
            duo.bravo.put("/tmp/it.raucb", BUNDLE)
            # As a unit: a process from outside would keep the box from going down.
            command = "systemd-run --quiet --collect sh -c 'appliance update /tmp/it.raucb >/data/said 2>&1'"
            duo.bravo.sh(command)
            said = duo.bravo.data / "said"
            wait_for(lambda: said.exists() and said.read_text(), 20, "it says something")
            assert "one after the other" in said.read_text()
            wait_for(lambda: bravo.restarts == 1, 90, "the backup restarts")
            assert alpha.restarts == 0 and alpha.installed and bravo.installed
            wait_for(lambda: alpha.restarts == 1, 120, "the other one restarts")
            assert duo.master() is duo.bravo or pair(duo.bravo)
            for box in (duo.alpha, duo.bravo):
                done = lambda box=box: told(box) == "both boxes run version 9.0.0, confirmed"  # noqa: E731
                wait_for(done, 200, f"{box.name} knows that it is over", 0.2)
            inward.flowing(timeout=30, packets=100)
            outward.flowing(timeout=30, packets=100)
        assert (alpha.restarts, bravo.restarts) == (1, 1)
        for box in (duo.alpha, duo.bravo):
            assert box.sh("ls /data/appliance/*.raucb 2>/dev/null || true") == ""
            assert (
                "system update: both boxes run version 9.0.0, confirmed"
                in box.run("appliance", "status", check=False).stdout
            )
        print(f"both restarted: {inward.report}; {outward.report}")
        print(duo.bravo.journal("-u", "appliance-update", "-o", "cat"))
        assert max(inward.report.longest_gap_ms, outward.report.longest_gap_ms) < 2000
