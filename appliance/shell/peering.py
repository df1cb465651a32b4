"""What `appliance peer` does with files and keys. A value that only one side may have is written once and never shown
in a message.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from appliance.adapters.client_keys import KeyPair, new_pair, new_preshared_key
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.adapters.keys import Keys
from appliance.shell.paths import Paths

__all__ = ["KeyPair", "Refused", "Secrets", "box_key", "new_pair", "new_preshared_key", "replace_file", "write_private"]


def box_key(paths: Paths, name: str) -> str | None:
    """The public half of the box's own key of that name; None where this is not the box, or it has none yet."""
    return Keys(paths.state).public_keys().get(name)


def write_private(path: Path, content: bytes) -> None:
    """A new file that only its owner reads. Raises Refused, also where it is there already."""
    if path.exists():
        raise Refused(f"{path} exists already; take another name, or move it away")
    write_whole(path, content, 0o600)


def replace_file(path: Path, before: bytes, after: bytes) -> None:
    """Writes `after` where `before` stands, with the same owner and mode. Raises Refused where something else does."""
    path = path.resolve()
    try:
        status = path.stat()
        same = path.read_bytes() == before
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    if not same:
        raise Refused(f"{path} was changed by somebody else meanwhile")
    write_whole(path, after, stat.S_IMODE(status.st_mode))
    with contextlib.suppress(OSError):
        os.chown(path, status.st_uid, status.st_gid)


class Secrets:
    """Where preshared keys go: to the box's own, or on a laptop into files for `appliance bundle create --secret`."""

    def __init__(self, paths: Paths, folder: Path) -> None:
        self.keys = Keys(paths.state)
        self.here = paths.state.is_dir()
        self.folder = folder

    def place(self, name: str) -> Path:
        return self.keys.secrets / name if self.here else self.folder / f"{name}.key"

    def free_name(self, wanted: str, taken: Callable[[str], bool]) -> str:
        """A name that never had another value: WANTED, WANTED-2, ..., at most 32 characters."""
        number = 1
        while True:
            end = f"-{number}" if number > 1 else ""
            name = wanted[: 32 - len(end)].rstrip("-") + end
            if not taken(name) and not self.place(name).exists():
                return name
            number += 1

    def keep(self, name: str, value: str) -> None:
        """Raises Refused."""
        try:
            if self.here:
                self.keys.take_secrets({name: value})
            else:
                write_private(self.place(name), value.encode() + b"\n")
        except OSError as error:
            raise Refused(f"{self.place(name)} cannot be written: {error.strerror}") from None

    def drop(self, name: str) -> None:
        self.place(name).unlink(missing_ok=True)
