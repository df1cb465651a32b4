"""Secrets sealed to a box by age(1): through pipes only; an identity lies in a file that is the box's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole

SECONDS = 10.0
MAXIMUM_BYTES = 1 << 20


def recipient(identity: Path) -> str:
    """The public half of the box's identity; both are made first where there are none. Raises Refused."""
    public = identity.with_suffix(".pub")
    if not identity.exists():
        identity.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        public.unlink(missing_ok=True)
        write_whole(identity, _run(["age-keygen"], b""), 0o600)
    if not public.exists():
        write_whole(public, _run(["age-keygen", "-y", str(identity)], b""), 0o644)
    return public.read_text().strip()


def seal(content: bytes, to: Sequence[str]) -> str:
    """An age file in ASCII armour that each of the recipients (age1...) can open. Raises Refused."""
    options = [word for each in to for word in ("-r", each)]
    return _run(["age", "--encrypt", "--armor", *options], content).decode()


def unseal(text: str, identity: Path) -> bytes:
    """Raises Refused where it is sealed for somebody else, or damaged."""
    return _run(["age", "--decrypt", "-i", str(identity)], text.encode())


def _run(command: Sequence[str], data: bytes) -> bytes:
    environment = {"PATH": os.environ.get("PATH", "/usr/bin")}
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, env=environment)
    except FileNotFoundError:
        raise Refused(f"{command[0]} is not installed; it comes with the package age") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{command[0]} did not run: {error}") from None
    if done.returncode or len(done.stdout) > MAXIMUM_BYTES:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if "report unexpected" not in line]
        raise Refused(" ".join(lines) or f"{command[0]} failed")
    return done.stdout
