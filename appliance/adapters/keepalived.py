"""keepalived's own judgement of its configuration (keepalived(8), --config-test)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from appliance.adapters.errors import Refused

SECONDS = 10.0


def check(path: Path, content: str) -> None:
    """Raises Refused, with keepalived's words, where it would not take `content` for the file `path`.

    Where the program is missing nobody can say; the pair's unit will then not start, which is said elsewhere.
    """
    draft = path.with_name(f"{path.name}.draft")
    try:
        draft.write_text(content, encoding="utf-8")
        done = subprocess.run(
            ["keepalived", "--config-test", f"--use-file={draft}", "--log-console"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
    except FileNotFoundError:
        return
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"keepalived could not be asked about its configuration: {error}") from None
    finally:
        draft.unlink(missing_ok=True)
    if done.returncode:
        said = " ".join(f"{done.stdout} {done.stderr}".replace(str(draft), path.name).split())
        raise Refused(f"keepalived refuses its configuration: {said[-500:] or f'exit code {done.returncode}'}")
