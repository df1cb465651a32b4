"""RAUC, through its command line (rauc(1)): it believes bundles, writes slots, and keeps the boot choice."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance.adapters.errors import Refused

SECONDS = 60.0
_ENVIRONMENT = {"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C.UTF-8"}


def info(bundle: Path) -> dict[str, Any]:
    """What a bundle says of itself, its signature verified. Raises Refused with RAUC's words."""
    return dict(json.loads(_run("info", "--output-format=json", str(bundle))))


def status() -> dict[str, Any]:
    """The slots, and which is to boot. Raises Refused."""
    return dict(json.loads(_run("status", "--detailed", "--output-format=json")))


def mark(state: str, slot: str) -> None:
    """`state`: good, bad or active; `slot`: booted or other. Raises Refused."""
    _run("status", f"mark-{state}", slot)


def install(bundle: Path, progress: Callable[[str], None]) -> None:
    """Writes it into the other slot and makes that the next to boot; calls `progress` with lines like ` 40% Copying`.

    Raises Refused with RAUC's words.
    """
    said = []
    try:
        with subprocess.Popen(
            ["rauc", "install", str(bundle)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_ENVIRONMENT,
        ) as running:
            for line in running.stdout or ():
                said.append(line)
                if "%" in line:
                    progress(line.strip())
    except OSError as error:
        raise Refused(f"rauc did not run: {error.strerror}") from None
    if running.returncode:
        raise Refused("".join(said))


def _run(*words: str) -> str:
    command: Sequence[str] = ["rauc", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL, env=_ENVIRONMENT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"rauc did not run: {error}") from None
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout
