"""The support archive: gathered, cleaned of this box's secrets, and written where one person can read it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from appliance.adapters import commands
from appliance.core.redaction import Redactor
from appliance.core.setup.questions import PPP_PASSWORD
from appliance.core.support import ABOUT, COMMANDS, transcript
from appliance.shell.paths import Paths
from appliance.shell.setting_up import kept_answers


def secrets(paths: Paths) -> Iterator[tuple[str, bytes]]:
    """The name and content of every file on the box that holds a secret. Raises OSError where one cannot be read."""
    folders = ("keys", "secrets", paths.age_identity.parent.name, "ssh")
    found = [path for name in folders for path in sorted((paths.state / name).rglob("*")) if path.is_file()]
    for path in [*found, paths.console]:
        # A public key's place is beside its private one.
        if path.suffix != ".pub":
            try:
                yield f"/{path.relative_to(paths.root)}", path.read_bytes()
            except FileNotFoundError:
                continue
    # Of a setup that is under way: the other answers are no secrets.
    yield f"/{paths.setup.relative_to(paths.root)}", kept_answers(paths)[0].get(PPP_PASSWORD, "").encode()


def members(paths: Paths, answers: Mapping[str, str]) -> dict[str, bytes]:
    """The archive's members by name, redacted. `answers` are those of the supervisor. Raises OSError."""
    # rglob takes a folder that cannot be read for an empty one.
    list(paths.state.iterdir())
    redactor = Redactor(secrets(paths))
    texts = {"about.txt": ABOUT, **answers, "appliance.yaml": _read(paths.configuration)}
    for name, calls in COMMANDS.items():
        texts[name] = transcript((call, commands.said(call)) for call in calls)
    return {name: redactor.clean(text).encode() for name, text in texts.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return f"# {path} does not exist\n"


def create(path: Path) -> IO[bytes]:
    """A new file that only its owner can read: whoever called sudo, so that he can send it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        os.fchown(descriptor, int(os.environ["SUDO_UID"]), -1)
    return os.fdopen(descriptor, "wb")


def write(out: IO[bytes], folder: str, found: Mapping[str, bytes], now: float) -> None:
    """The members as a tar.gz, in one folder, owned by nobody in particular. Raises OSError."""
    # gzip, since a box may be short of memory (docs/DESIGN.md).
    with tarfile.open(fileobj=out, mode="w|gz") as archive:
        for name, content in found.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(now)
            archive.addfile(entry, io.BytesIO(content))
