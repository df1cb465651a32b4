"""Fetches the site's bundle by curl(1), and hands it to the supervisor when it is another one than before.

Whatever else comes (an error page, a portal, half of it, far too much) changes nothing; the supervisor is told in a
sentence what came.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from appliance.cli.client import Refusal as Refused
from appliance.cli.client import ask, file_request
from appliance.cli.failure import Failure
from appliance.core.bundle import envelope as envelopes
from appliance.core.bundle.refusals import AlreadyApplied, NotYetValid, Refusal, TriedBefore

SECONDS = 120
CURABLE = ("", NotYetValid.__name__)
"""Busy, rolled back, or early: it is fetched again. What is refused for good is, when it has another tag."""
FOLDER = Path("/run/appliance-bundle-fetch")


def fetch(options: argparse.Namespace) -> int:
    """Exit code 0: there was nothing new, or it was applied; 1: something else, in one sentence."""
    wanted = ask(options, {"verb": "bundle", "address": True})["fetch"]
    if not wanted:
        raise Failure("no address is named: write `bundles: {url: https://...}` into appliance.yaml")
    folder = Path(os.environ.get("RUNTIME_DIRECTORY", str(FOLDER)))
    folder.mkdir(mode=0o700, exist_ok=True)
    body, etag, fresh = folder / "body", folder / "etag", folder / "etag.new"
    for path in (body, fresh):
        path.unlink(missing_ok=True)
    code, trouble = _curl(wanted["url"], body, etag, fresh)
    if trouble:
        return _tell(options, False, f"{wanted['url']}: {trouble}")
    if code == 304:
        return _tell(options, True, f"{wanted['url']}: nothing new")
    try:
        with body.open("rb") as file:
            content = file.read(envelopes.MAXIMUM_BYTES + 1)
        envelopes.read(content)
    except OSError:
        return _tell(options, False, f"{wanted['url']}: an empty answer")
    except Refusal as refusal:
        return _tell(options, False, f"{wanted['url']} gives no bundle: {refusal}")
    try:
        answer = ask(options, {**file_request("bundle", content), "unattended": True})
    except Refused as error:
        if error.name not in CURABLE and fresh.exists():
            fresh.replace(etag)
        known = error.name in (AlreadyApplied.__name__, TriedBefore.__name__)
        return _tell(options, known, f"{wanted['url']}: {error}")
    if fresh.exists():
        fresh.replace(etag)
    return _tell(options, True, f"{wanted['url']}: applied as generation {answer['generation']}")


def _tell(options: argparse.Namespace, good: bool, text: str) -> int:
    ask(options, {"verb": "bundle", "fetched": text, "good": good})
    if not good:
        raise Failure(text)
    print(text)
    return 0


def _curl(url: str, body: Path, etag: Path, fresh: Path) -> tuple[int, str]:
    """HTTP's status, and what went wrong. Only https, also where it is sent on to; curl(1) keeps the tag."""
    command = [
        "curl", "--silent", "--show-error", "--fail", "--location", "--max-redirs", "3", "--proto", "=https",
        "--proto-redir", "=https", "--connect-timeout", "15", "--max-time", str(SECONDS),
        "--max-filesize", str(envelopes.MAXIMUM_BYTES), "--etag-save", str(fresh), "--output", str(body),
        "--write-out", "%{http_code}", "--user-agent", "appliance", *(["--etag-compare", str(etag)] * etag.exists()),
        "--", url,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 0, f"curl did not run: {error}"
    lines = done.stderr.strip().splitlines()
    if done.returncode:
        return 0, lines[-1].removeprefix("curl: ") if lines else f"curl ended with {done.returncode}"
    return int(done.stdout[-3:]), ""
