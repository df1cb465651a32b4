"""The folder of generations: NNNNNN for each confirmed one, `trial` for the one that is tried, `history`.

What a boot loads is the highest number that is whole. A trial becomes that by one rename, for which a full disk has
room; until then nothing that a boot loads was touched.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from appliance import __version__
from appliance.adapters.errors import Refused
from appliance.adapters.files import sync_folder, write_whole
from appliance.core.generations import (
    KEPT,
    Damaged,
    Ending,
    Generation,
    Newer,
    packed,
    packed_history,
    unpacked,
    unpacked_history,
)

_NAME = re.compile(r"\d{6,9}\Z")


class GenerationStore:
    """`damaged` holds a sentence for each file that is not what was written, `newer` one for each that a later version
    than `system` wrote; that one may boot again, and keeps it."""

    def __init__(self, folder: Path, system: str = __version__) -> None:
        self.folder = folder
        self.system = system
        self.damaged: dict[str, str] = {}
        self.newer: dict[str, str] = {}

    # -- reading ------------------------------------------------------------------------------------------------------

    def numbers(self) -> list[int]:
        """The confirmed generations that lie here, whole or not, the last one first."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError:
            return []
        return sorted((int(name) for name in names if _NAME.match(name)), reverse=True)

    def confirmed(self) -> Generation | None:
        """What a boot loads: the last generation that is whole, and no newer system's; None where there is none."""
        for number in self.numbers():
            if found := self.generation(number):
                return found
        return None

    def generation(self, number: int) -> Generation | None:
        """A confirmed generation; None where it is not here, damaged, or a newer system's."""
        found = self._read(self._path(number), f"generation {number}")
        return found if found and found.number == number else None

    def trial(self) -> Generation | None:
        return self._read(self.folder / "trial", "the trial")

    def next_number(self) -> int:
        """The number of the next trial, higher than any that was ever confirmed or tried."""
        ends = [ending.number for ending in self.history()]
        return max([0, *self.numbers(), *ends]) + 1

    def history(self) -> tuple[Ending, ...]:
        """How trials ended, oldest first."""
        try:
            return unpacked_history((self.folder / "history").read_bytes())
        except FileNotFoundError:
            return ()
        except (OSError, Damaged) as error:
            self._note(self.folder / "history", f"the history cannot be read: {error}; it begins anew")
            return ()

    def _read(self, path: Path, what: str) -> Generation | None:
        try:
            found = unpacked(path.read_bytes(), self.system)
        except FileNotFoundError:
            return None
        except Newer as error:
            self.newer[path.name] = f"{what} is a newer system's ({error}, this is {self.system})"
            return None
        except (OSError, Damaged) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._note(path, f"{what} is damaged ({reason})")
            return None
        self.damaged.pop(path.name, None)
        return found

    def _note(self, path: Path, sentence: str) -> None:
        self.damaged[path.name] = sentence

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}"

    # -- writing ------------------------------------------------------------------------------------------------------

    def begin(self, generation: Generation) -> None:
        """A trial begins. Raises Refused when the disk does not take it."""
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self.folder.parent)
        write_whole(self.folder / "trial", packed(generation), 0o600)

    def confirm(self, number: int) -> None:
        """The trial becomes what a boot loads; the oldest generations go. Raises Refused, and nothing has changed."""
        trial, place = self.folder / "trial", self._path(number)
        try:
            trial.rename(place)
        except OSError as error:
            raise Refused(f"generation {number} cannot be confirmed: {error.strerror}") from None
        try:
            sync_folder(self.folder)
        except Refused:
            with contextlib.suppress(OSError):
                place.rename(trial)
            raise
        numbers = self.numbers()
        for old, after in zip(numbers[KEPT:], numbers[KEPT - 1 :], strict=False):
            if not self._last_of_its_system(old, after):
                with contextlib.suppress(OSError):
                    self._path(old).unlink()
        self.forget_damaged()

    def _last_of_its_system(self, number: int, after: int) -> bool:
        """Whether another system took over after this generation: whoever rolls the system back needs it."""
        one, next_one = self.generation(number), self.generation(after)
        return one is not None and (next_one is None or one.system != next_one.system)

    def forget_damaged(self) -> None:
        """What could not be read goes; a boot would stumble over it again."""
        for name in [each for each in self.damaged if _NAME.match(each)]:
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()
            del self.damaged[name]

    def discard(self) -> None:
        """The trial is over, and was not confirmed."""
        with contextlib.suppress(OSError, Refused):
            (self.folder / "trial").unlink()
            sync_folder(self.folder)

    def record(self, ending: Ending) -> None:
        """Adds to the history. Raises Refused when the disk does not take it."""
        write_whole(self.folder / "history", packed_history([*self.history(), ending]), 0o600)
        self.damaged.pop("history", None)
