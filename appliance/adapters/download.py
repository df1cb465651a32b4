"""A large file from an address, by curl(1)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from appliance.adapters.errors import Refused

SECONDS = 3600
STALLED_SECONDS = 60


def download(url: str, path: Path, most_bytes: int) -> None:
    """Writes what is there to `path`, its progress to standard error. Only https, also where it is sent on to.

    Raises Refused; then `path` is gone.
    """
    command = [
        "curl", "--progress-bar", "--show-error", "--fail", "--location", "--max-redirs", "3", "--proto", "=https",
        "--proto-redir", "=https", "--connect-timeout", "15", "--max-time", str(SECONDS), "--speed-limit", "1",
        "--speed-time", str(STALLED_SECONDS), "--max-filesize", str(most_bytes), "--output", str(path),
        "--user-agent", "appliance", "--", url,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise Refused(f"curl did not run: {error.strerror}") from None
    if done.returncode:
        path.unlink(missing_ok=True)
        raise Refused(f"{url} could not be fetched (see above)")
