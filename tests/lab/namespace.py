"""A set of kernel namespaces that a process of ours keeps alive, and commands run inside it."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.lab.log import Log

# What PID 1 of a namespace does: report its PID as the world sees it (the world's /proc is still mounted then),
# give the node a /run and keys of its own (a PID file that another node's daemon left would be believed otherwise),
# then reap whatever the node's daemons leave behind.
HOLDER = """
set -e
read -r pid _ </proc/self/stat
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /etc/wireguard
mkdir -m 700 /run/wireguard
mount -t tmpfs -o mode=700 wireguard /etc/wireguard
echo "$1" >/proc/sys/kernel/hostname
ip link set lo up
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
echo "$pid"
exec >/dev/null 2>&1
sleep infinity & wait
"""


class CommandFailed(AssertionError):
    """A command in the lab ended otherwise than the test expects; says all that it said."""

    def __init__(self, where: str, done: subprocess.CompletedProcess[str]) -> None:
        self.done = done
        said = "\n".join(text.rstrip() for text in (done.stdout, done.stderr) if text and text.strip())
        super().__init__(f"[{where}] {' '.join(map(str, done.args))}: exit {done.returncode}\n{said}")


class Namespace:
    """Network, mount, PID and UTS namespaces of its own over the world's files; /run is its own, too."""

    def __init__(self, name: str, log: Log) -> None:
        self.name = name
        self.log = log
        self.pid = 0
        self._holder: subprocess.Popen[str] | None = None
        self._hold()

    def _hold(self) -> None:
        argv = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
        argv += ["bash", "-c", HOLDER, "holder", self.name]
        self._holder = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the test; it ends the namespaces in its own order.
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        line = self._holder.stdout.readline()
        if not line:
            raise AssertionError(f"no namespaces for {self.name}: unshare ended with {self._holder.wait()}")
        self.pid = int(line)

    def entry(self) -> list[str]:
        """The words before a command that make it run inside."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--"]

    def run(
        self,
        *argv: str | Sequence[str],
        check: bool = True,
        timeout: float = 30,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. `run("ip", "a")` and `run(["ip", "a"])` are the same."""
        words = _words(argv)
        self.log.command(self.name, words)
        try:
            done = subprocess.run(
                self.entry() + words,
                check=False,
                capture_output=True,
                text=True,
                timeout=timeout,
                input=stdin if stdin is not None else "",
                errors="replace",
            )
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"[{self.name}] {' '.join(words)}: still running after {timeout:g} s") from late
        done.args = words
        self.log.output(done.stdout)
        self.log.output(done.stderr)
        if done.returncode:
            self.log.line(f"    exit {done.returncode}")
        if check and done.returncode:
            raise CommandFailed(self.name, done)
        return done

    def sh(self, script: str, check: bool = True, timeout: float = 30) -> str:
        """Run a shell script inside; returns what it printed, without the last line end."""
        return self.run("sh", "-euc", script, check=check, timeout=timeout).stdout.rstrip("\n")

    def popen(
        self,
        *argv: str | Sequence[str],
        stdin: int | IO[str] = subprocess.DEVNULL,
        stdout: int | IO[str] = subprocess.PIPE,
        stderr: int | IO[str] = subprocess.STDOUT,
    ) -> subprocess.Popen[str]:
        """Start a command inside and go on. It ends with the namespace at the latest."""
        words = _words(argv)
        self.log.command(self.name, [*words, "&"])
        return subprocess.Popen(
            self.entry() + words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def put(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Write a file inside, whole or not at all, never readable by more than `mode` says."""
        data = content if isinstance(content, bytes) else content.encode()
        script = 'umask 077; mkdir -p -m 755 "${1%/*}"; cat >"$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"'
        self.log.line(f"[{self.name}] writes {path} ({len(data)} bytes)")
        subprocess.run(
            [*self.entry(), "sh", "-euc", script, "put", path, f"{mode:o}"], input=data, check=True, timeout=30
        )

    def read(self, path: str) -> bytes:
        return subprocess.run([*self.entry(), "cat", "--", path], stdout=subprocess.PIPE, check=True, timeout=30).stdout

    @property
    def netns(self) -> Path:
        return Path(f"/proc/{self.pid}/ns/net")

    def close(self) -> None:
        """Kill all inside. The kernel takes the links (and their other ends) away with it."""
        if self._holder is not None:
            # PID 1 first: when unshare, which waits for it, has ended, everything inside is gone.
            os.kill(self.pid, signal.SIGKILL)
            self._holder.wait(10)
            assert self._holder.stdout is not None
            self._holder.stdout.close()
            self._holder = None


def _words(argv: tuple[str | Sequence[str], ...]) -> list[str]:
    words: list[str] = []
    for part in argv:
        words.extend([part] if isinstance(part, str) else part)
    return words
