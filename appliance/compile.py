"""The process that reads configurations, and dies with each: `python3 -I -m appliance.compile`.

It is prepared once, with its libraries loaded, and reads nothing itself: for each request on its standard input, a
socket, it makes a copy of itself (fork(2)) that gets the socket of that request, answers and ends. What the parsers
take of memory goes with the copy, and so does whatever a file makes them do; the next one begins clean.

A request is a line {"box": NAME or null} and the bytes of appliance.yaml, to the end. The answer is a line
{"problems": [...]}; or an empty line, as soon as it is sure that there is none, and then a line for each field of
Desired, so that they can be read while the next is written. The process ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from appliance.core.check import linted, validated
from appliance.core.codec import from_json, to_json
from appliance.core.desired import compile_box, desired_of
from appliance.core.problems import ConfigurationError, Problem

MAXIMUM_SECONDS = 20
MAXIMUM_MEMORY = 1 << 30
BESIDE_BYTES = 50_000
"""A file of so many bytes is looked through by one process while another works out what it means."""
MUCH_MEMORY_WANTED = 500
"""What the kernel adds when it looks for a process to kill (proc_pid_oom_score_adj(5))."""
_SMALL = b"""\
version: 1
site: small
boxes: {a: {interfaces: {wan: {device: eth0, address: dhcp}, lan: {device: eth1, address: 192.168.1.1/24}}}}
tunnels:
  t:
    addresses: [10.0.0.1/24]
    peers: {p: {public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=, address: 10.0.0.2}}
firewall: {masquerade: [wan], allow: [{from: t.p, to: lan, services: [https]}]}
"""
"""Reading it once makes pydantic build its validators."""


def compiled(content: bytes, box: str | None) -> Iterator[str]:
    """What is answered for these bytes, in pieces that are worth sending at once."""
    try:
        config, document = validated(content)
        problems = _beside(lambda: [to_json(each) for each in linted(config, document)], len(content) >= BESIDE_BYTES)
        try:
            desired = desired_of(config, document, box, content)
        except Exception:
            # What is wrong with the network may have led here, and says more.
            _refuse(problems())
            raise
        _refuse(problems())
    except ConfigurationError as error:
        yield _line({"problems": [to_json(problem) for problem in error.problems]})
        return
    yield "\n"
    for each in fields(desired):
        yield _line({each.name: to_json(getattr(desired, each.name))})


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _refuse(problems: list[Any]) -> None:
    if problems:
        raise ConfigurationError([from_json(Problem, each) for each in problems])


def _beside(work: Callable[[], Any], worth_it: bool) -> Callable[[], Any]:
    """Does `work` in a copy of this process if that is worth it; returns what gives the result, which must be JSON."""
    if not worth_it or len(os.sched_getaffinity(0)) == 1:
        return work
    reader, writer = os.pipe()
    copy = os.fork()
    if not copy:
        with _the_end(), os.fdopen(writer, "w") as file:
            json.dump(work(), file)
    os.close(writer)

    def result() -> Any:
        with os.fdopen(reader) as file:
            said = file.read()
        os.waitpid(copy, 0)
        return json.loads(said)

    return result


@contextlib.contextmanager
def _the_end() -> Iterator[None]:
    """A copy ends here, whatever happens: it must not go on with what is its parent's to do."""
    try:
        yield
        os._exit(0)
    finally:
        os._exit(1)


def _answer(connection: socket.socket) -> None:
    """One request, read to its end, and its answer."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAXIMUM_SECONDS, MAXIMUM_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MAXIMUM_MEMORY, MAXIMUM_MEMORY))
    with connection, connection.makefile("rb") as stream:
        box = json.loads(stream.readline())["box"]
        for piece in compiled(stream.read(), box):
            connection.sendall(piece.encode())


def serve(requests: socket.socket) -> None:
    """Until the other end closes: each message brings the socket of one request."""
    while True:
        byte, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if not byte:
            return
        connection = socket.socket(fileno=descriptors[0])
        if not os.fork():
            with _the_end():
                requests.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(connection)
        connection.close()


def main() -> int:
    # Nothing here lives long enough to be worth collecting; 1,000 peers are read a fifth faster.
    gc.disable()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(MUCH_MEMORY_WANTED))
    # The supervisor goes before the packets of the office (services/appliance.service); reading a file need not.
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    compile_box(_SMALL, None)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    serve(socket.socket(fileno=sys.stdin.fileno()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
