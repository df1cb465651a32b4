"""A disk that may lose power: watches folders while something works in them, and tells what each cut may leave.

What survives is modelled as a journalling file system does it (POSIX fsync): a file's bytes are safe after its fsync,
a name after the fsync of its folder; until then any beginning of the bytes, and any beginning of the sequence of
names, may be what is left, in each folder for itself. A kill -9 is the cut after which everything survives.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

type Names = tuple[tuple[str, bytes], ...]
"""What lies in one folder."""
type State = tuple[tuple[Path, Names], ...]


class Folder:
    """One folder, and what is sure of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.synced = {each.stat().st_ino: each.read_bytes() for each in path.iterdir() if each.is_file()}
        """By inode: the bytes that are safe."""
        self.durable = self.now()
        self.pending: list[Names] = []
        """The names after each operation since the last fsync of the folder."""

    def now(self) -> Names:
        return tuple(sorted((each.name, each.read_bytes()) for each in self.path.iterdir() if each.is_file()))

    def survivors(self) -> Iterator[Names]:
        """The same with what may be left of files that were not synced: all, half, or nothing."""
        for names in (self.durable, *self.pending):
            safe = self.synced.values()
            for keep in (1.0, 0.5, 0.0):
                yield tuple((name, each if each in safe else each[: int(len(each) * keep)]) for name, each in names)


class Disk:
    """`states` is every state in which a cut after any of `operations` may leave the folders. With `full`, that
    operation and all after it that need room are refused."""

    def __init__(self, *folders: Path, full: int = 0) -> None:
        self.folders = {folder: Folder(folder) for folder in folders}
        self.states: set[State] = set()
        self.operations = 0
        self.full = full

    def needs_room(self) -> None:
        """Before an operation that makes something: counted, and refused when there is no room any more."""
        if self.full and self.operations + 1 >= self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def happened(self, folder: Path) -> None:
        self.operations += 1
        self.folders[folder].pending.append(self.folders[folder].now())
        choices = [[(each.path, names) for names in set(each.survivors())] for each in self.folders.values()]
        self.states.update(product(*choices))

    def synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if path in self.folders:
            found = self.folders[path]
            found.durable, found.pending = found.now(), []
            self.happened(path)
            found.pending = []
        elif path.parent in self.folders:
            self.folders[path.parent].synced[os.fstat(descriptor).st_ino] = path.read_bytes()
            self.happened(path.parent)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Has every operation of the adapters told to this disk."""
        fsync, rename, unlink, opened = os.fsync, Path.rename, Path.unlink, os.open

        def watched_fsync(descriptor: int) -> None:
            # Delayed allocation: that there is no room is often said only here (fsync(2)).
            if Path(f"/proc/self/fd/{descriptor}").resolve().parent in self.folders:
                self.needs_room()
            fsync(descriptor)
            self.synced(descriptor)

        def watched_rename(path: Path, target: Path) -> Path:
            done = rename(path, target)
            if target.parent in self.folders:
                self.happened(target.parent)
            return done

        def watched_unlink(path: Path, missing_ok: bool = False) -> None:
            unlink(path, missing_ok)
            if path.parent in self.folders:
                self.happened(path.parent)

        def watched_open(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
            ours = bool(flags & os.O_CREAT) and Path(path).parent in self.folders
            if ours:
                self.needs_room()
            descriptor = opened(path, flags, mode, **more)
            if ours:
                self.happened(Path(path).parent)
            return descriptor

        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(os, "open", watched_open)
        monkeypatch.setattr(Path, "rename", watched_rename)
        monkeypatch.setattr(Path, "unlink", watched_unlink)


def laid_out(state: State, root: Path, below: Path) -> None:
    """Writes a state to another place."""
    for folder, names in state:
        place = below / folder.relative_to(root)
        place.mkdir(parents=True, exist_ok=True)
        for name, content in names:
            (place / name).write_bytes(content)
