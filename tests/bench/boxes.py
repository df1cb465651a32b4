"""Booted boxes for the bench, and stopwatches for what runs in them."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab import Box, Lab


def gate(lab: Lab, name: str) -> Box:
    """A box with an uplink and an office behind it, booted and without a configuration."""
    wan, lan = lab.switch(f"{name}-wan"), lab.switch(f"{name}-lan")
    internet = lab.node(f"{name}-internet")
    internet.attach(wan, "eth0", ["203.0.113.1/24"])
    box = lab.box(name)
    box.attach(wan, "enp1s0")
    box.attach(lan, "enp2s0")
    box.boot()
    # Its file says what it is called.
    box.sh("hostname gate")
    return box


def seconds(box: Box, *command: str, timeout: float = 120) -> float:
    """The whole command, from its start to its end, as somebody at the box would time it."""
    started = time.monotonic()
    box.run(*command, timeout=timeout)
    return time.monotonic() - started


def request(box: Box, verb: str, content: str) -> float:
    """Seconds that the supervisor takes to answer on its control socket, without the command around it."""
    started = time.monotonic()
    answer = _ask(box, {"verb": verb, "file": base64.b64encode(content.encode()).decode()})
    took = time.monotonic() - started
    assert "steps" in answer, f"{box.name} answered {answer}"
    confirm(box)
    return took


def confirm(box: Box) -> None:
    """Ends the trial, if there is one."""
    _ask(box, {"verb": "confirm"})


def _ask(box: Box, asked: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(f"/proc/{box.leader}/root/run/appliance/control.sock")
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile("rb") as stream:
            return dict(json.loads(stream.readline()))


def unit_times(box: Box, *names: str) -> list[float]:
    """Seconds on the monotonic clock at which the service reached these of its timestamps (systemd.service names)."""
    wanted = [f"{name}TimestampMonotonic" for name in names]
    said = box.sh(f"systemctl show appliance {' '.join(f'--property={name}' for name in wanted)}")
    values = dict(line.split("=") for line in said.splitlines())
    return [int(values[name]) / 1e6 for name in wanted]


def start_to_ready(box: Box) -> float:
    """Seconds from when systemd started the service to its READY, the last time."""
    started, ready = unit_times(box, "ExecMainStart", "ActiveEnter")
    return ready - started


def boot_to_ready(box: Box) -> float:
    """Seconds from when PID 1 of the box began to the service's READY."""
    began = int(box.sh("systemctl show --value --property=UserspaceTimestampMonotonic")) / 1e6
    return unit_times(box, "ActiveEnter")[0] - began


def supervisor(box: Box) -> int:
    """The supervisor's PID as the world sees it."""
    path = box.cgroup / "payload/system.slice/appliance.service/cgroup.procs"
    for pid in path.read_text().split():
        if b"\0supervise\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise AssertionError(f"{box.name} has no supervisor")


def status_fields(pid: int, names: Sequence[str]) -> list[int]:
    """Numbers of /proc/PID/status: kB for memory, counts for the rest."""
    with open(f"/proc/{pid}/status") as file:
        values = dict(line.split(":", 1) for line in file)
    return [int(values[name].split()[0]) for name in names]


def cpu_seconds(pid: int) -> float:
    """Processor time so far, user and system, in steps of 1/CLK_TCK."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
