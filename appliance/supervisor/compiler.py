"""Has bytes compiled by a child process (appliance/compile.py), so that the parsers' memory and risks are its own."""

from __future__ import annotations

import asyncio
import json
import sys

from appliance.core.codec import from_json
from appliance.core.problems import ConfigurationError, Mark, Problem
from appliance.core.state import Desired

SECONDS = 30.0
ENVIRONMENT = {"PATH": "/usr/bin", "LC_ALL": "C.UTF-8", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""The child needs nothing of ours, and looking for plugins takes a twentieth of its time."""


async def compile_file(content: bytes, box: str | None) -> Desired:
    """What the box should be. Raises ConfigurationError with every problem."""
    arguments = [sys.executable, "-I", "-m", "appliance.compile", *([box] if box else [])]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT)
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await child.communicate(content)
    except TimeoutError:
        child.kill()
        await child.wait()
        raise ConfigurationError([Problem((), "reading the file took too long; is it a configuration?")]) from None
    try:
        answer = json.loads(output)
    except ValueError:
        raise ConfigurationError([Problem((), f"the file cannot be read (exit {child.returncode})")]) from None
    if "problems" in answer:
        raise ConfigurationError([_problem(each) for each in answer["problems"]])
    return from_json(Desired, answer["desired"])


def _problem(data: dict[str, object]) -> Problem:
    mark = data["mark"]
    assert isinstance(mark, dict)
    path = data["path"]
    assert isinstance(path, list)
    return Problem(tuple(path), str(data["message"]), Mark(mark["line"], mark["column"]))
