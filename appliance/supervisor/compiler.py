"""Has bytes compiled by a child process (appliance/compile.py), so that the parsers' memory and risks are its own.

What the confirmed file compiled to is kept beside it: a supervisor that starts again, and a box that boots, need not
read it anew (0.25 s on a PC, seconds on a small board). The copy counts only for the same bytes, the same box and the
same code, and only if it is whole; otherwise it is made again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from appliance.adapters.files import write_whole
from appliance.core.codec import from_json, to_json
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


def keep(path: Path, content: bytes, box: str | None, desired: Desired) -> None:
    """Keeps what `content` compiled to. Raises Refused when the disk does not take it."""
    text = json.dumps(to_json(desired), separators=(",", ":"))
    head = json.dumps({"key": _key(content, box), "sha256": hashlib.sha256(text.encode()).hexdigest()})
    write_whole(path, f"{head}\n{text}\n".encode(), 0o600)


def kept(path: Path, content: bytes, box: str | None) -> Desired | None:
    """What was kept for exactly these bytes, this box and this code; None when it must be compiled."""
    try:
        head, text, _ = path.read_text().split("\n")
        wanted = {"key": _key(content, box), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return from_json(Desired, json.loads(text)) if json.loads(head) == wanted else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(content: bytes, box: str | None) -> str:
    """Names the bytes, the box, and every line of code that has a say in what they become."""
    digest = hashlib.sha256(content)
    digest.update(f"\0{box}\0{sys.version}\0".encode())
    package = Path(__file__).parents[1]
    for path in [package / "compile.py", *sorted((package / "core").rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
