"""The power goes after every single operation on the disk, in every way that a disk may be left: what a boot loads
is always a whole confirmed generation, the one before or the one after.

What survives a cut is modelled as a journalling file system does it (POSIX fsync): a file's bytes are safe after its
fsync, a name after the fsync of its folder; until then any beginning of the bytes, and any beginning of the sequence
of names, may be what is left. A kill -9 is the cut after which everything survives.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.adapters.generation_store import GenerationStore
from appliance.core.generations import CONFIRMED, ROLLED_BACK, Ending, Generation

type Names = dict[str, bytes]


class Disk:
    """Watches a folder while something works in it, and tells after each operation what a cut may leave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.durable: Names = self._now()
        self.synced: dict[int, bytes] = {}
        """By inode: the bytes that are safe."""
        for path in folder.iterdir():
            self.synced[path.stat().st_ino] = path.read_bytes()
        self.pending: list[Names] = []
        """The folder's names after each operation since its last fsync."""
        self.states: list[Names] = []

    def _now(self) -> Names:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def _survivors(self, names: Names) -> Iterator[Names]:
        """The same with what may be left of files that were not synced: all, half, or nothing."""
        unsafe = [name for name, content in names.items() if content not in self.synced.values()]
        yield names
        for keep in (0.5, 0.0):
            yield {
                name: content[: int(len(content) * keep)] if name in unsafe else content
                for name, content in names.items()
            }

    def happened(self) -> None:
        """After an operation: every state in which a cut may leave the disk."""
        self.pending.append(self._now())
        for names in (self.durable, *self.pending):
            self.states += self._survivors(names)

    def file_synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}")
        if path.resolve() == self.folder:
            self.durable, self.pending = self._now(), []
        elif path.resolve().parent == self.folder:
            self.synced[os.fstat(descriptor).st_ino] = path.read_bytes()
        else:
            return  # another folder: what was left of this one is being looked at
        self.happened()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Disk]:
    """Has every operation of the adapters told to a Disk."""

    def watch(folder: Path) -> Disk:
        disk = Disk(folder)
        fsync, rename, unlink, opened = os.fsync, Path.rename, Path.unlink, os.open

        def watched_fsync(descriptor: int) -> None:
            fsync(descriptor)
            disk.file_synced(descriptor)

        def watched_rename(self: Path, target: Path) -> Path:
            done = rename(self, target)
            disk.happened()
            return done

        def watched_unlink(self: Path, missing_ok: bool = False) -> None:
            unlink(self, missing_ok)
            disk.happened()

        def watched_open(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
            descriptor = opened(path, flags, mode, **more)
            if flags & os.O_CREAT and Path(path).parent == folder:
                disk.happened()
            return descriptor

        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(os, "open", watched_open)
        monkeypatch.setattr(Path, "rename", watched_rename)
        monkeypatch.setattr(Path, "unlink", watched_unlink)
        return disk

    return watch


def generation(number: int) -> Generation:
    return Generation(number, b"version: 1 # %d\n" % number * 20, "anna", 1.0, "boot", 90.0, f"trial-{number}")


def ending(number: int, outcome: str) -> Ending:
    return Ending(number, "d" * 64, "anna", 1.0, 2.0, outcome)


def begin(store: GenerationStore) -> None:
    store.begin(generation(2))


def confirm(store: GenerationStore) -> None:
    store.begin(generation(2))
    store.confirm(2)
    store.record(ending(2, CONFIRMED))


def roll_back(store: GenerationStore) -> None:
    store.begin(generation(2))
    store.discard()
    store.record(ending(2, ROLLED_BACK))


def twice(store: GenerationStore) -> None:
    confirm(store)
    store.begin(generation(3))
    store.confirm(3)


@pytest.mark.parametrize(("work", "loads"), [(begin, {1}), (confirm, {1, 2}), (roll_back, {1}), (twice, {1, 2, 3})])
def test_a_boot_finds_a_whole_confirmed_generation(
    tmp_path: Path, watched: Callable[[Path], Disk], work: Callable[[GenerationStore], None], loads: set[int]
) -> None:
    folder = tmp_path / "generations"
    store = GenerationStore(folder)
    store.begin(generation(1))
    store.confirm(1)
    store.record(ending(1, CONFIRMED))
    disk = watched(folder)
    work(store)
    states = [dict(each) for each in {tuple(sorted(state.items())) for state in disk.states}]
    print(f"{work.__name__}: {len(states)} states of the disk")
    assert len(states) > 3
    found = set()
    for number, state in enumerate(states):
        left = tmp_path / f"left-{number}"
        left.mkdir()
        for name, content in state.items():
            (left / name).write_bytes(content)
        after = GenerationStore(left)
        booted = after.confirmed()
        assert booted is not None and booted == generation(booted.number), state.keys()
        found.add(booted.number)
        # Whatever is left of the trial, it can be ended, and the next one begins with a number of its own.
        after.trial()
        after.discard()
        assert after.next_number() > booted.number
    assert found <= loads and max(loads) in found


def test_after_confirm_returned_no_cut_takes_it_back(tmp_path: Path, watched: Callable[[Path], Disk]) -> None:
    folder = tmp_path / "generations"
    store = GenerationStore(folder)
    store.begin(generation(1))
    store.confirm(1)
    disk = watched(folder)
    store.begin(generation(2))
    store.confirm(2)
    disk.states.clear()
    store.record(ending(2, CONFIRMED))
    assert disk.states and all("000002" in state for state in disk.states)
