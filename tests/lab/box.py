"""A box: the product's root file system, booted by systemd as PID 1 in a network that the lab wired.

nspawn lays memory over /rootfs, as the product's read-only root does with /var and /etc; only /data survives.
A box that is off has no network either: each boot starts from fresh namespaces with the same cables, so nothing
(interfaces, tables, routes) can outlive a power cut that would not outlive it in a real one.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path

from tests.lab.log import Log
from tests.lab.node import Node
from tests.lab.waiting import wait_for

CGROUPS = Path("/sys/fs/cgroup")
ROOTFS = Path("/rootfs")

_numbers = count(1)

ENVIRONMENT = ["env", "-i", "PATH=/usr/sbin:/usr/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"]


class Box(Node):
    """A node that has a system of its own. Commands run in that system once it is booted."""

    def __init__(self, name: str, log: Log) -> None:
        super().__init__(name, log)
        self.leader = 0
        self.boot_ms = 0
        self.home = Path(tempfile.mkdtemp(prefix=f"box-{name}-"))
        self.data = self.home / "data"
        self.data.mkdir()
        # Two labs side by side, in this process or in another one, may each have a box of that name.
        self.machine = f"{name}-{os.getpid()}-{next(_numbers)}"
        self.binds: list[str] = []
        """What lies in the place of the product's own files, SOURCE:PATH."""
        self.cgroup = CGROUPS / f"box-{self.machine}"
        self._nspawn: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._nspawn is not None and self._nspawn.poll() is None

    def entry(self) -> list[str]:
        """Before boot, put() and run() see the lab's tools in the box's network; afterwards the box itself."""
        if not self.leader:
            return super().entry()
        return ["nsenter", f"--target={self.leader}", "--all", "--", *ENVIRONMENT]

    def power_on(self, timeout: float = 10) -> None:
        """Start PID 1 and return as soon as commands can run inside; boot() also waits for the rest."""
        assert not self.running, f"{self.name} is on already"
        if self._holder is None:
            self._hold()
            for link in self.links:
                link.plug()
        self.cgroup.mkdir(exist_ok=True)
        # Mounts that a killed nspawn leaves behind (257 exports sockets under /run) go with a namespace of its own.
        argv = [
            "unshare",
            "--mount",
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--boot",
            "--console=pipe",
        ]
        argv += [f"--directory={ROOTFS}", "--volatile=overlay", f"--bind={self.data}:/data"]
        argv += [f"--network-namespace-path={self.netns}", "--capability=all"]
        # Only on the product's own kernel (tests/vm) is there PPP.
        argv += ["--bind=/dev/ppp"] if Path("/dev/ppp").exists() else []
        argv += [f"--bind-ro={each}" for each in self.binds]
        # No box sets this machine's clock.
        argv += ["--drop-capability=CAP_SYS_TIME"]
        argv += [f"--machine={self.machine}", f"--hostname={self.name}"]
        argv += [f"--uuid={hashlib.sha256(self.name.encode()).hexdigest()[:32]}"]
        self.log.command("world", argv)
        # A cgroup for each box: nspawn makes "payload" and "supervisor" below the one that it is started in, and
        # killing that cgroup is the power cut.
        script = 'echo $$ >"$0/cgroup.procs"; exec "$@"'
        with (self.home / "console.log").open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-euc", script, str(self.cgroup), *argv],
                # On the old hybrid cgroup layout nspawn would otherwise guess; elsewhere this says what is so.
                # /proc/sys/net is the box's own network's, and on a device it is writable.
                env={
                    **os.environ,
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                },
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self.leader = wait_for(self._find_leader, timeout, f"{self.name} has a PID 1")

    def _find_leader(self) -> int:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            said = (self.home / "console.log").read_text(errors="replace")
            raise AssertionError(f"{self.name} did not start: {said[-2000:]}")
        try:
            pids = (self.cgroup / "payload/init.scope/cgroup.procs").read_text().split()
            for pid in pids:
                status = Path(f"/proc/{pid}/status").read_text()
                if "\nNSpid:" in status and status.split("\nNSpid:")[1].split("\n")[0].split()[-1] == "1":
                    return int(pid)
        except OSError:
            pass
        return 0

    def boot(self, timeout: float = 30, healthy: bool = True) -> float:
        """Power on and wait until every unit has settled; returns the seconds it took.

        With `healthy`, a failed unit is a failure of the test, and comes with its journal.
        """
        started = time.monotonic()
        self.power_on(max(timeout, 10))
        state = wait_for(self._settled, timeout, f"{self.name} has booted")
        seconds = time.monotonic() - started
        self.boot_ms = round(seconds * 1000)
        self.log.line(f"[{self.name}] {state} after {self.boot_ms} ms")
        if healthy and state != "running":
            raise AssertionError(f"{self.name} booted, but is {state}:\n{self.failures()}")
        return seconds

    def _settled(self) -> str:
        answer = subprocess.run(
            [*self.entry(), "systemctl", "is-system-running", "--wait"],
            check=False,  # it answers by exit code as well
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout.strip()
        return answer if answer in ("running", "degraded", "maintenance") else ""

    def failures(self) -> str:
        """The failed units, each with the end of its journal."""
        units = [line.split()[0] for line in self.sh("systemctl --failed --plain --no-legend").splitlines() if line]
        return "\n".join(f"-- {unit}\n{self.journal('-u', unit, '-n', '20')}" for unit in units)

    def journal(self, *options: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=short-precise", *options, check=False).stdout

    def shutdown(self, timeout: float = 30) -> None:
        """Power off cleanly: units are stopped, then the power goes."""
        self.run("systemctl", "--no-block", "poweroff")
        assert self._nspawn is not None
        self._nspawn.wait(timeout)
        self._off()

    def reboot(self, timeout: float = 30, healthy: bool = True) -> float:
        self.shutdown(timeout)
        return self.boot(timeout, healthy)

    def power_cut(self) -> None:
        """Everything in the box stops between two instructions; only /data is left.

        The cables go with it: the network of a box in which nothing runs any more would forward for a while.
        """
        self.log.line(f"[{self.name}] POWER CUT")
        self._kill()
        for link in self.links:
            link.cut()
        self._off()

    def _kill(self) -> None:
        (self.cgroup / "cgroup.kill").write_text("1")

    def freeze(self) -> None:
        """The box stands still with all that runs in it, as a virtual machine that is not given a processor."""
        self._freeze("1", "frozen 1")

    def thaw(self) -> None:
        self._freeze("0", "frozen 0")

    def _freeze(self, value: str, said: str) -> None:
        self.log.line(f"[{self.name}] {said}")
        (self.cgroup / "cgroup.freeze").write_text(value)
        events = self.cgroup / "cgroup.events"
        wait_for(lambda: said in events.read_text(), 10, f"{self.name} is {said}")

    def _off(self) -> None:
        if self._nspawn is not None:
            self._nspawn.wait(10)
        # The last processes may still be dying when nspawn is gone; a new boot must not meet them.
        events = self.cgroup / "cgroup.events"
        wait_for(lambda: "populated 0" in events.read_text(), 10, f"nothing of {self.name} runs any more")
        # A killed cgroup remembers it: what systemd later clones into it from another one is killed at birth
        # (kill_seq in the kernel's cgroup_post_fork). The next boot gets fresh ones.
        self._remove_cgroup()
        self.leader = 0
        self._nspawn = None
        Node.close(self)

    def _remove_cgroup(self) -> None:
        for directory, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(directory)

    def dump(self) -> None:
        if self.running:
            self.log.section(f"{self.name}: journal", self.journal())
            super().dump()
        console = self.home / "console.log"
        if console.exists():
            self.log.section(f"{self.name}: console", console.read_text(errors="replace"))

    def close(self) -> None:
        if self.running:
            # Its cables may be gone already.
            self._kill()
            self._off()
        super().close()
        self._remove_cgroup()
        shutil.rmtree(self.home, ignore_errors=True)
