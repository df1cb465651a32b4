"""What the wizard wrote for a configuration that does not run, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

from appliance.shell.setting_up import Ledger


def test_what_was_written_is_taken_back(tmp_path: Path) -> None:
    new, old = tmp_path / "box", tmp_path / "appliance.yaml"
    old.write_text("by hand")
    old.chmod(0o640)
    ledger = Ledger()
    for text in ("first try", "second try"):
        with ledger.writing(new, old):
            new.write_text(text)
            old.write_text(text)
            old.chmod(0o600)
    ledger.undo()
    assert not new.exists()
    assert old.read_text() == "by hand" and old.stat().st_mode & 0o777 == 0o640
    ledger.undo()
    assert old.read_text() == "by hand"


def test_what_was_removed_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_text("bravo")
    ledger = Ledger()
    with ledger.writing(path):
        path.unlink()
    ledger.undo()
    assert path.read_text() == "bravo"


def test_what_somebody_else_wrote_meanwhile_stays(tmp_path: Path) -> None:
    """A wizard that waits at the screen while a bundle sets up the box."""
    path = tmp_path / "appliance.yaml"
    ledger = Ledger()
    with ledger.writing(path):
        path.write_text("on trial")
    path.write_text("by another session")
    ledger.undo()
    assert path.read_text() == "by another session"
    with ledger.writing(path):
        path.write_text("on trial")
    path.write_text("by hand")
    with ledger.writing(path):
        path.write_text("on trial again")
    ledger.undo()
    assert path.read_text() == "by hand"


def test_a_wizard_that_wrote_nothing_takes_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "appliance.yaml"
    ledger = Ledger()
    path.write_text("a bundle brought it")
    ledger.undo()
    assert path.read_text() == "a bundle brought it"
