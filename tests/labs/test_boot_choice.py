"""The boot choice is lost or torn, and GRUB has taken system A: the health unit's script finds out which was to run.

The script is the image's own, with other folders; `appliance`, `rauc` and `systemctl` only note what they were told,
and `grub-editenv` does as much as is asked for. Which system GRUB boots then, tests/images shows.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appliance.core.updates import Record, packed

SCRIPT = Path(__file__).parents[2] / "image/files/usr/lib/appliance/health"
# As much of it as the script asks for: a block begins as GRUB's does, and has a line for each variable.
EDITENV = """\
#!/bin/sh
block=$1 head='# GRUB Environment Block'
case $2 in
create) echo "$head" >"$block" ;;
list) [ "$(head -n 1 "$block")" = "$head" ] && tail -n +2 "$block" ;;
set)
    shift 2
    for each; do
        sed -i "/^${each%%=*}=/d" "$block"
        echo "$each" >>"$block"
    done ;;
esac
"""
CONFIRMED = Record(slot="B", version="0.2.0", before="0.1.0", outcome="confirmed")
WENT_BACK = Record(slot="A", version="0.2.0", before="0.1.0", outcome="went back", why="not seen: x")
ON_TRIAL = Record(pending="A", slot="A", version="0.2.0", before="0.1.0", written=True)
BEING_INSTALLED = Record(pending="B", slot="B", version="0.2.0", before="0.1.0")


class Box:
    """`slot` runs; `settles`: whether the system that runs does what it should."""

    def __init__(self, folder: Path, slot: str, record: Record | None, settles: bool = True) -> None:
        self.folder, self.block = folder, folder / "efi/EFI/debian/grubenv"
        for name in ("efi/EFI/debian", "data/appliance", "proc", "run/appliance-image", "bin"):
            (folder / name).mkdir(parents=True)
        (folder / "proc/cmdline").write_text(f"root=PARTLABEL=x rauc.slot={slot} quiet\n")
        if record:
            (folder / "data/appliance/update.json").write_bytes(packed(record))
        note = f'#!/bin/sh\necho "${{0##*/}} $*" >>{folder}/told\n'
        self._program("grub-editenv", EDITENV)
        self._program("rauc", note)
        self._program("systemctl", note)
        self._program("appliance", f"{note}exit {0 if settles else 1}\n")
        text = SCRIPT.read_text()
        for place in ("/efi/", "/data/", "/proc/", "/run/"):
            text = text.replace(place, f"{folder}{place}")
        self._program("health", text)

    def _program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def health(self, *words: str) -> int:
        command = [str(self.folder / "bin/health"), *words]
        environment = {"PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        return subprocess.run(command, env=environment, capture_output=True, timeout=30).returncode

    @property
    def choice(self) -> dict[str, str]:
        lines = self.block.read_text().splitlines()[1:]
        return dict(line.split("=", 1) for line in lines)

    @property
    def told(self) -> list[str]:
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("torn", ["", "\0" * 1024, None], ids=["empty", "zeros", "gone"])
@pytest.mark.parametrize(
    ("slot", "record", "order", "given_up"),
    [
        ("A", None, "A B", "B"),
        ("A", CONFIRMED, "B A", ""),
        ("B", CONFIRMED, "B A", ""),
        ("A", WENT_BACK, "B A", "A"),
        ("A", ON_TRIAL, "A B", ""),
        ("A", BEING_INSTALLED, "A B", "B"),
    ],
    ids=["never-updated", "confirmed", "confirmed-and-here", "went-back", "on-trial", "being-installed"],
)
def test_the_record_says_which_system_was_to_run(
    tmp_path: Path, torn: str | None, slot: str, record: Record | None, order: str, given_up: str
) -> None:
    box = Box(tmp_path, slot, record)
    if torn is not None:
        box.block.write_text(torn)
    assert box.health() == 0
    good = {name: box.choice[f"{name}_OK"] for name in "AB"}
    assert (box.choice["ORDER"], good) == (order, {name: "0" if name == given_up else "1" for name in "AB"})
    if order[0] == slot:
        assert box.told == ["appliance update settle"]
    else:
        assert box.told == ["systemctl reboot"]


def test_a_choice_that_is_whole_is_not_touched(tmp_path: Path) -> None:
    box = Box(tmp_path, "A", CONFIRMED)
    whole = "# GRUB Environment Block\nORDER=A B\nA_OK=1\n"
    box.block.write_text(whole)
    assert box.health() == 0 and box.block.read_text() == whole
    assert (tmp_path / "run/appliance-image/settled").exists()


@pytest.mark.parametrize(
    ("slot", "record", "gives_way"),
    [("A", ON_TRIAL, True), ("B", ON_TRIAL, False), ("A", CONFIRMED, False), ("A", None, False)],
    ids=["on-trial", "the-other-is", "over", "never"],
)
def test_only_a_system_on_trial_gives_way(tmp_path: Path, slot: str, record: Record | None, gives_way: bool) -> None:
    box = Box(tmp_path, slot, record, settles=False)
    box.block.write_text("# GRUB Environment Block\nORDER=A B\n")
    assert box.health() == 1
    assert box.told[1:] == (["rauc status mark-bad booted", "systemctl reboot"] if gives_way else [])
    # What restarts a box that comes to nothing asks the same.
    assert box.health("pending") == (0 if gives_way else 1)
