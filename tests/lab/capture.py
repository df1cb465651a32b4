"""What really was on the wire."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from tests.lab.namespace import Namespace
from tests.lab.waiting import wait_for


class Capture:
    """Packets as tcpdump prints them, one a line, growing while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip():  # tcpdump ends with an empty one
                self.lines.append(line.rstrip("\n"))

    def matching(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def wait(self, text: str, timeout: float = 5) -> str:
        """The first packet whose line contains `text`."""
        return wait_for(lambda: self.matching(text), timeout, f"a packet with {text!r} was seen")[0]

    def finish(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(5)
        self._reader.join(5)


@contextmanager
def capture(node: Namespace, ifname: str, filter: str = "", *options: str) -> Iterator[Capture]:
    """Record what passes `ifname` of `node` and matches `filter`, from the first line of the block to its end."""
    # tcpdump from the lab's tools, in the node's network: a box is watched without running anything in it.
    argv = ["nsenter", f"--net={node.netns}", "tcpdump", "-i", ifname, "-n", "-l", "--immediate-mode", *options]
    argv += [filter] if filter else []
    node.log.command(node.name, [*argv, "&"])
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "listening on" in line:
            break
    else:
        raise AssertionError(f"[{node.name}] tcpdump on {ifname}: {said}")
    recorded = Capture(process)
    try:
        yield recorded
    finally:
        recorded.finish()
        node.log.section(f"{node.name} {ifname}: captured", "\n".join(recorded.lines))
