"""Traffic through a lab, and what became of it.

The programs run from the lab's Python in a node's (or a box's) network: hosts are measured with the same tools,
and nothing is run inside a box that the product does not run there.
"""

import json
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from tests.lab.node import Node
from tests.lab.waiting import wait_for

PROGRAMS = Path(__file__).parent / "programs"

# A fresh port for each measurement: nothing of an earlier one (conntrack, TIME_WAIT) can be mistaken for it.
_ports = count(20001)


def _program(node: Node, name: str, *arguments: str) -> subprocess.Popen[str]:
    argv = ["nsenter", f"--net={node.netns}", "python3", "-I", "-S", str(PROGRAMS / name), *arguments]
    node.log.command(node.name, [*argv, "&"])
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_program(node: Node, name: str, *arguments: str, stdin: str = "") -> subprocess.Popen[str]:
    """Runs a program of ours in the node's network, gives it its first lines, and waits until it is ready."""
    process = _program(node, name, *arguments)
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.flush()
    _ready(node, process)
    return process


def _ready(node: Node, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise AssertionError(f"[{node.name}] the measuring program did not start")


def stop_program(process: subprocess.Popen[str]) -> None:
    """Whatever it does."""
    _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


@dataclass(frozen=True)
class ProbeReport:
    sent: int
    received: int
    longest_gap_ms: float
    median_ms: float
    lost: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"{self.sent} sent, {self.sent - self.received} lost, longest gap {self.longest_gap_ms:g} ms,"
            f" median round trip {self.median_ms:g} ms"
        )


class Probe:
    """A steady stream of numbered UDP packets from `source`, echoed by `target` at `address`.

    with Probe(laptop, host, "192.168.10.20") as probe: ... ; then `probe.report` says what was lost.
    """

    def __init__(self, source: Node, target: Node, address: str, interval: float = 0.01) -> None:
        self.source = source
        port = str(next(_ports))
        self._latest = ProbeReport(0, 0, 0.0, 0.0, ())
        self._server = _program(target, "probe.py", "echo", port)
        _ready(target, self._server)
        self._sender = _program(source, "probe.py", "send", address, port, str(interval))
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._sender.stdout is not None
        for line in self._sender.stdout:
            words = json.loads(line)
            self._latest = ProbeReport(**{**words, "lost": tuple(words["lost"])})

    @property
    def report(self) -> ProbeReport:
        """As of now while it runs (a tenth of a second old), final after stop()."""
        return self._latest

    def flowing(self, timeout: float = 10, packets: int = 1) -> None:
        """Wait until `packets` more answers than now have come."""
        before = self._latest.received
        wait_for(lambda: self._latest.received >= before + packets, timeout, f"{self.source.name}'s probe is answered")

    def stop(self) -> ProbeReport:
        if self._sender.stdin is not None and not self._sender.stdin.closed:
            self._sender.stdin.close()
            self._sender.wait(10)
            self._reader.join(5)
            _end(self._sender)
            _end(self._server)
            self.source.log.line(f"[{self.source.name}] probe: {self._latest}")
        return self._latest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True)
class ConnectionsReport:
    """`ended`: why each connection that is no more has ended; `moved`: pieces that each has moved so far."""

    open: int
    ended: tuple[str, ...]
    moved: tuple[int, ...]


class Connections:
    """Established TCP connections from `source` to `target` at `address`, half of them uploads, half downloads."""

    def __init__(self, source: Node, target: Node, address: str, number: int) -> None:
        self.source, self.number = source, number
        port = str(next(_ports))
        self._server = _program(target, "connections.py", "serve", port)
        _ready(target, self._server)
        half = number // 2
        self._client = _program(source, "connections.py", "open", address, port, str(half), str(number - half))

    def opened(self) -> None:
        """Waits until all are established."""
        _ready(self.source, self._client)

    @property
    def report(self) -> ConnectionsReport:
        assert self._client.stdin and self._client.stdout
        self._client.stdin.write("how\n")
        self._client.stdin.flush()
        found = json.loads(self._client.stdout.readline())
        return ConnectionsReport(found["open"], tuple(found["ended"]), tuple(found["moved"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        _end(self._client)
        _end(self._server)


def transfer(source: Node, target: Node, address: str, size: int = 1_000_000, timeout: float = 60) -> float:
    """Send `size` random bytes over TCP, check that they arrived whole; returns Mbit/s."""
    port = str(next(_ports))
    server = _program(target, "transfer.py", "serve", port)
    client = None
    try:
        _ready(target, server)
        client = _program(source, "transfer.py", "send", address, port, str(size))
        try:
            output, _ = client.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{size} bytes from {source.name} to {address} took more than {timeout:g} s") from late
        if client.returncode:
            raise AssertionError(f"no TCP transfer from {source.name} to {address}")
        result = json.loads(output)
        source.log.output(output)
        assert result["whole"], f"bytes from {source.name} to {address} arrived damaged"
        return float(result["mbit"])
    finally:
        if client is not None:
            _end(client)
        _end(server)


def iperf3(source: Node, target: Node, address: str, seconds: int = 2, *options: str) -> float:
    """TCP throughput from `source` to `target` in Mbit/s, as the receiver counted it.

    Whole seconds: iperf3 reads 0.5 as 0, which means for ever.
    """
    port = str(next(_ports))
    argv = ["nsenter", f"--net={target.netns}", "iperf3", "-s", "-1", "-p", port, "--forceflush"]
    target.log.command(target.name, [*argv, "&"])
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if "listening" in line:
                break
        argv = ["nsenter", f"--net={source.netns}", "iperf3", "-J", "-c", address, "-p", port]
        argv += ["-t", str(seconds), "--connect-timeout", "5000", *options]
        source.log.command(source.name, argv)
        done = subprocess.run(
            argv,
            check=False,  # its JSON says what went wrong
            capture_output=True,
            text=True,
            timeout=seconds + 20,
        )
        result = json.loads(done.stdout)
        if "error" in result:
            raise AssertionError(f"iperf3 from {source.name} to {address}: {result['error']}")
        return float(result["end"]["sum_received"]["bits_per_second"]) / 1e6
    finally:
        _end(server)


class ManyProbes:
    """A steady stream of numbered UDP packets from each of `devices` of `source`, echoed by `target` at `address`.

    with ManyProbes(...) as probes: ... ; `probes.lost()` says what each device lost since it was asked before.
    """

    def __init__(self, source: Node, devices: list[str], target: Node, address: str, interval: float = 0.025) -> None:
        port = str(next(_ports))
        self._server = _program(target, "probe.py", "echo", port)
        _ready(target, self._server)
        self._sender = _program(source, "many.py", address, port, str(interval), *devices)
        _ready(source, self._sender)

    def ask(self) -> dict[str, tuple[int, int]]:
        """By device: packets sent since the question before, and how many of them were lost."""
        assert self._sender.stdin and self._sender.stdout
        self._sender.stdin.write("\n")
        self._sender.stdin.flush()
        return {name: (sent, lost) for name, (sent, lost) in json.loads(self._sender.stdout.readline()).items()}

    def lost(self) -> dict[str, int]:
        """By device, without those that lost none."""
        return {name: lost for name, (_, lost) in self.ask().items() if lost}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        _end(self._sender)
        _end(self._server)
