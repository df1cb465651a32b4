"""`appliance support` on a box whose supervisor does not run, and how it says no."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.adapters import commands
from appliance.cli import main
from appliance.cli.failure import Failure
from appliance.core.support import COMMANDS, archive_name

PSK = "q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80="
FILE = f"site: zurich # once the key was {PSK}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box's files; its commands say the preshared key."""

    def said(command: Sequence[str]) -> str:
        return f"{command[0]} says {PSK}\n"

    def silent(*arguments: object) -> None:
        raise Failure("the supervisor does not run here")

    monkeypatch.setattr(commands, "said", said)
    monkeypatch.setattr("appliance.cli.support.ask", silent)
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "data/appliance"
    (state / "secrets").mkdir(parents=True)
    (state / "secrets/psk-alice").write_text(PSK)
    (state / "box").write_text("alpha\n")
    (state / "appliance.yaml").write_text(FILE)
    return tmp_path


def unpacked(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {
            entry.name.partition("/")[2]: file.read().decode()
            for entry in opened.getmembers()
            if (file := opened.extractfile(entry))
        }


def test_the_password_of_a_setup_that_is_under_way_is_not_in_it(root: Path) -> None:
    state = root / "data/appliance"
    (state / "setup.yaml").write_text('{"site": "zurich", "ppp_user": "zurich@example", "ppp_password": "s3 cret"}\n')
    (state / "appliance.yaml").write_text(f"{FILE}# s3 cret\n")
    assert main(["support", "--root", str(root)]) == 0
    (path,) = root.glob("appliance-support-alpha-*Z.tar.gz")
    found = unpacked(path.read_bytes())
    assert not [name for name, text in found.items() if "s3 cret" in text]
    assert "site: zurich" in found["appliance.yaml"]


def test_without_a_supervisor_it_holds_the_rest_and_no_secret(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["support", "--root", str(root)]) == 0
    (path,) = root.glob("appliance-support-alpha-*Z.tar.gz")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = capsys.readouterr().out
    assert path.name in said and "no private ones" in said
    found = unpacked(path.read_bytes())
    assert found.keys() >= {*COMMANDS, "about.txt", "status.json", "plan.json", "history.json", "appliance.yaml"}
    assert "the supervisor does not run here" in found["status.json"]
    assert found["appliance.yaml"] == "site: zurich # once the key was [redacted: /data/appliance/secrets/psk-alice]\n"
    assert "$ wg show\nwg says [redacted: /data/appliance/secrets/psk-alice]\n" in found["wireguard.txt"]
    assert not [name for name, text in found.items() if PSK in text]


def test_a_file_that_is_too_long_to_be_planned_is_sent_all_the_same(root: Path) -> None:
    (root / "data/appliance/appliance.yaml").write_text("#" * (5 << 20) + "\n")
    assert main(["support", "--root", str(root), "-o", str(root / "x")]) == 0
    found = unpacked((root / "x").read_bytes())
    assert "the file is 5.2 MB long" in found["plan.json"] and len(found["appliance.yaml"]) > 5 << 20


def test_it_goes_into_a_pipe(root: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["support", "--root", str(root), "-o", "-"]) == 0
    assert "appliance.yaml" in unpacked(capsysbinary.readouterr().out)
    assert not list(root.glob("*.tar.gz"))


def test_a_file_that_is_there_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "mine").write_text("mine")
    assert main(["support", "--root", str(root), "-o", str(root / "mine")]) == 1
    assert capsys.readouterr().err == f"appliance: {root}/mine exists; name another file: -o FILE\n"
    assert (root / "mine").read_text() == "mine"


def test_a_folder_that_is_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["support", "--root", str(root), "-o", str(root / "none/x")]) == 1
    assert capsys.readouterr().err == f"appliance: {root}/none/x cannot be written: No such file or directory\n"


def test_a_full_disk_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("appliance.shell.support.write", full)
    assert main(["support", "--root", str(root), "-o", str(root / "x")]) == 1
    assert not (root / "x").exists()


def test_who_may_not_read_the_secrets_gets_no_archive(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def denied(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("appliance.shell.support.secrets", denied)
    assert main(["support", "--root", str(root)]) == 1
    assert "put sudo before it" in capsys.readouterr().err
    assert not list(root.glob("*.tar.gz"))


def test_a_laptop_is_told_that_it_is_no_box(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["support", "--root", str(root / "laptop"), "-o", str(root / "x")]) == 1
    assert f"{root}/laptop/data/appliance cannot be read, so nothing was written" in capsys.readouterr().err


def test_a_name_is_one_word_of_harmless_letters() -> None:
    assert archive_name("Zürich 1/../", "alpha", 0) == "appliance-support-Z-rich-1-alpha-19700101T000000Z"
    assert archive_name("", "", 0) == "appliance-support-19700101T000000Z"
