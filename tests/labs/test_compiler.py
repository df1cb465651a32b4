"""The prepared process that compiles: it answers what the core says, and nothing that a file does to it lasts.

No network: the supervisor's half of the conversation runs here, the other half is a process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.core.check import check
from appliance.core.desired import compile_box
from appliance.core.problems import ConfigurationError
from appliance.core.state import Desired
from appliance.supervisor import compiler as module
from appliance.supervisor.compiler import Compiler
from tests.bench.sites import gate

EXAMPLE = (Path(__file__).parents[2] / "docs/appliance.example.yaml").read_bytes()
LARGE = gate(300).encode()


@pytest.fixture
def compiler() -> Iterator[Compiler]:
    made = Compiler()
    yield made
    made.stop()


def compiled(compiler: Compiler, content: bytes, box: str | None = None) -> tuple[Desired, int]:
    """And how often it was said to be sound."""
    said: list[None] = []
    return asyncio.run(compiler.compile(content, box, lambda: said.append(None))), len(said)


def refusal(compiler: Compiler, content: bytes) -> ConfigurationError:
    said: list[None] = []
    with pytest.raises(ConfigurationError) as raised:
        asyncio.run(compiler.compile(content, None, lambda: said.append(None)))
    assert not said
    return raised.value


def test_it_answers_as_the_core_does(compiler: Compiler) -> None:
    assert compiled(compiler, EXAMPLE, "alpha") == (compile_box(EXAMPLE, "alpha"), 1)
    # Large enough to be looked through by a process beside.
    assert compiled(compiler, LARGE) == (compile_box(LARGE, None), 1)


@pytest.mark.parametrize("large", [False, True])
def test_the_same_problems(compiler: Compiler, large: bool) -> None:
    wrong = (LARGE if large else EXAMPLE).replace(b"192.168.10.1/24", b"10.20.0.9/24")
    with pytest.raises(ConfigurationError) as wanted:
        check(wrong)
    assert refusal(compiler, wrong).problems == wanted.value.problems


def test_requests_at_the_same_time(compiler: Compiler) -> None:
    async def both() -> list[Desired]:
        work = [compiler.compile(each, None, lambda: None) for each in (LARGE, gate(3).encode(), gate(0).encode())]
        return await asyncio.gather(*work)

    assert [len(each.tunnels[0].peers) if each.tunnels else 0 for each in asyncio.run(both())] == [300, 3, 0]


def test_one_that_was_killed_is_started_again(compiler: Compiler) -> None:
    compiler.prepare()
    assert compiler.process
    os.kill(compiler.process.pid, signal.SIGKILL)
    compiler.process.wait()
    assert compiled(compiler, LARGE)[1] == 1


def test_one_that_does_not_answer_is_killed(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    compiler.prepare()
    assert compiler.process
    process = compiler.process
    process.send_signal(signal.SIGSTOP)
    assert "took too long" in str(refusal(compiler, EXAMPLE))
    assert process.poll() is not None
    monkeypatch.setattr(module, "SECONDS", 30.0)
    assert compiled(compiler, EXAMPLE, "alpha")[1] == 1


def test_it_ends_with_whoever_asks(compiler: Compiler) -> None:
    compiled(compiler, LARGE)
    assert compiler.process and compiler.requests
    compiler.requests.close()
    assert compiler.process.wait(5) == 0


def test_nothing_of_a_file_stays(compiler: Compiler) -> None:
    compiled(compiler, LARGE)
    assert compiler.process
    status = Path(f"/proc/{compiler.process.pid}/status")
    before = _resident(status)
    for _ in range(5):
        compiled(compiler, LARGE)
    assert _resident(status) - before < 500
    end = time.monotonic() + 5
    children = Path(f"/proc/{compiler.process.pid}/task/{compiler.process.pid}/children")
    while children.read_text() and time.monotonic() < end:
        time.sleep(0.01)
    assert children.read_text() == ""


def _resident(status: Path) -> int:
    """kB."""
    return int(status.read_text().partition("VmRSS:")[2].split()[0])
