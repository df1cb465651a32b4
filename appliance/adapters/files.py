"""Files that are written whole or not at all, and the files below /run that carry our name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from appliance.adapters.errors import Refused

RUNTIME_GLOBS = (
    ("run/systemd/network", "50-appliance-*"),
    ("run/systemd/resolved.conf.d", "50-appliance.conf"),
    ("run/appliance", "*.conf"),
    ("run/appliance-ssh", "authorized_keys"),
    ("run/appliance-pppoe", "*.options"),
    ("run/appliance-monitoring", "listen"),
)

MARKS = "run/appliance"


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Writes through a temporary file, fsync, rename, and fsync of the folder: old or new, never half.

    Raises Refused when the disk does not take it; the old file stands.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        _sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise Refused(f"{path} cannot be written: {error.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Names that were made, changed or removed in the folder are on disk afterwards. Raises Refused."""
    try:
        _sync(folder)
    except OSError as error:
        raise Refused(f"{folder} cannot be written: {error.strerror}") from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RuntimeFiles:
    """The files that we write for networkd and resolved. `root` is / on a running box."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> dict[str, str]:
        """Every file of ours, by its path on the box."""
        found = {}
        for path in self._paths():
            # A folder is a drop-in of a session's (pppoe-up).
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                found[f"/{path.relative_to(self.root)}"] = path.read_text(errors="replace")
        return found

    def _paths(self) -> Iterable[Path]:
        for folder, pattern in RUNTIME_GLOBS:
            yield from sorted((self.root / folder).glob(pattern))

    def unread(self) -> frozenset[str]:
        """Whose files were written since `was_read` was last called for them."""
        return frozenset(mark.stem for mark in (self.root / MARKS).glob("*.unread"))

    def was_read(self, reader: str) -> None:
        self._mark(reader).unlink(missing_ok=True)

    def write_for(self, reader: str, path: str, content: str | None) -> None:
        """As `write`; that the daemon `reader` has yet to read it is known from before the first byte on, so that
        neither a supervisor that is killed then nor a reload that fails leaves it with the old file for good."""
        mark = self._mark(reader)
        mark.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        mark.touch()
        self.write(path, content)

    def _mark(self, reader: str) -> Path:
        return self.root / MARKS / f"{reader}.unread"

    def write(self, path: str, content: str | None) -> None:
        """Writes the file, or removes it when `content` is None."""
        place = self.root / path.lstrip("/")
        if content is None:
            place.unlink(missing_ok=True)
            return
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(place, content.encode(), 0o644)
