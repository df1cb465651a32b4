"""Commands that show how the system is, for people to read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

SECONDS = 20.0


def said(command: Sequence[str]) -> str:
    """What the command wrote, errors included; a sentence where it did not run or did not end."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/usr/sbin"), "LC_ALL": "C.UTF-8", "WG_HIDE_KEYS": "always"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            env=environment,
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]} did not run: {error}"
    code = f"\nexit code {done.returncode}" if done.returncode else ""
    return done.stdout.decode(errors="replace") + code
