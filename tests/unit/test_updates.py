"""Which update is refused, what a boot makes of the last one, and that an older system keeps to its own generations."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from appliance.adapters import rauc
from appliance.adapters.errors import Refused
from appliance.adapters.generation_store import GenerationStore
from appliance.core import updates
from appliance.core.generations import KEPT, Generation
from appliance.core.updates import BootChoice, Record, Verdict, packed, refusal, sentence, unpacked, verdict
from appliance.core.versions import order
from appliance.shell import updating
from appliance.shell.paths import Paths

SYSTEM = "appliance-amd64"
TRIED = Record(pending="B", slot="B", version="0.2.0", before="0.1.0", written=True, configured=True)


@pytest.mark.parametrize(
    ("compatible", "version", "reason"),
    [
        (SYSTEM, "0.2.0", ""),
        (SYSTEM, "0.1.10", ""),
        (SYSTEM, "0.1.9", ""),
        (SYSTEM, "0.1.8", "older than the 0.1.9 that runs"),
        (SYSTEM, "", "is none"),
        (SYSTEM, None, "is none"),
        ("appliance-arm64", "0.2.0", "for arm64, and this box is amd64"),
        ("", "0.2.0", "for nothing"),
    ],
)
def test_what_is_refused(compatible: str, version: str | None, reason: str) -> None:
    said = refusal({"compatible": compatible, "version": version}, SYSTEM, "0.1.9")
    assert reason in said and bool(said) == bool(reason)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("signature verification failed: Verify error: unable to get local issuer certificate\n", "does not know"),
        ("signature verification failed: Verify error: self-signed certificate\n", "does not know"),
        ("signature verification failed: Verify error: certificate has expired\n", "has run out"),
        ("signature verification failed: Verify error: certificate is not yet valid\n", "clock is wrong"),
        ("signature verification failed: ECDSA digest_verify_final:\n", "changed or damaged"),
        ("Invalid bundle format: Signature size (3427016312258209065) exceeds bundle size\n", "only a part of one"),
        ("something new\n", "cannot be read: something new"),
        ("", "cannot be read: it says nothing"),
    ],
)
def test_why_a_bundle_is_not_believed(said: str, reason: str) -> None:
    assert reason in updates.unbelieved(said)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (" 40% x\nLastError: Installation error: Pre-install handler error: x\nfailed\n", "nothing was written"),
        (" 40% x\nLastError: No space left on device\nInstalling `x` failed\n", "installed: No space left on device;"),
        ("Installing `x` failed\n", "installed: Installing `x` failed;"),
        ("", "it says nothing"),
    ],
)
def test_why_a_bundle_is_not_installed(said: str, reason: str) -> None:
    assert reason in updates.not_installed(said)


def test_versions_have_their_order() -> None:
    assert sorted(["0.10.0", "1.0.0", "0.9.3", "", "0.9.12"], key=order) == ["", "0.9.3", "0.9.12", "0.10.0", "1.0.0"]


@pytest.mark.parametrize(
    ("record", "booted", "expected"),
    [
        (Record(), "A", Verdict.NOTHING),
        (TRIED, "B", Verdict.PROVE),
        (TRIED, "A", Verdict.BACK),
        (dataclasses.replace(TRIED, written=False), "A", Verdict.INTERRUPTED),
        # The power went between RAUC's last word and ours.
        (dataclasses.replace(TRIED, written=False), "B", Verdict.PROVE),
    ],
)
def test_what_a_boot_makes_of_it(record: Record, booted: str, expected: Verdict) -> None:
    assert verdict(record, booted, BootChoice()) == expected


@pytest.mark.parametrize(
    ("record", "booted", "block", "expected"),
    [
        (Record(), "A", "ORDER=B A\nA_OK=1\nA_TRY=1\nB_OK=1\nB_TRY=3", Verdict.STRAYED),
        # Somebody chose the other one in the boot menu.
        (Record(), "A", "ORDER=B A\nA_OK=1\nA_TRY=1\nB_OK=1\nB_TRY=0", Verdict.NOTHING),
        # It was given up before.
        (Record(), "A", "ORDER=B A\nA_OK=1\nA_TRY=1\nB_OK=0\nB_TRY=3", Verdict.NOTHING),
        (Record(), "B", "ORDER=B A\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY=3", Verdict.NOTHING),
        (TRIED, "A", "ORDER=B A\nA_OK=1\nA_TRY=1\nB_OK=1\nB_TRY=3", Verdict.BACK),
    ],
)
def test_a_box_notices_that_it_is_in_the_wrong_system(
    record: Record, booted: str, block: str, expected: Verdict
) -> None:
    assert verdict(record, booted, updates.boot_choice(block)) == expected


def test_a_record_survives_another_version() -> None:
    assert unpacked(packed(TRIED)) == TRIED
    assert unpacked(json.dumps({"pending": "B", "of tomorrow": 1}).encode()) == Record(pending="B")
    for broken in (b"", b"\xff", b"[]", b"7", packed(TRIED)[:40]):
        assert unpacked(broken) == Record()
    # The health unit finds it without Python.
    assert b'"pending": "B"' in packed(TRIED)


@pytest.mark.parametrize(
    ("version", "record", "reason"),
    [
        ("0.2.0", Record(), ""),
        ("0.1.0", Record(), "runs already"),
        ("0.2.0", TRIED, "is on trial"),
        ("0.2.0", Record(version="0.2.0", before="0.1.0", outcome="went back"), "tried and given up"),
        ("0.3.0", Record(version="0.2.0", before="0.1.0", outcome="went back"), ""),
        ("0.2.0", Record(version="0.2.0", before="0.1.0", outcome="interrupted"), ""),
        ("0.2.0", Record(version="0.1.0", before="0.2.0", outcome="confirmed"), "left by `appliance update rollback`"),
    ],
)
def test_a_stick_that_stays_in_is_taken_once(version: str, record: Record, reason: str) -> None:
    said = updates.needless(version, "0.1.0", record)
    assert reason in said and bool(said) == bool(reason)


@pytest.mark.parametrize(
    ("block", "following", "good", "tried_out"),
    [
        ("ORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0", "A", "A", ""),
        # One that was chosen in the boot menu, and one that a power cut met: a counted try is no verdict.
        ("ORDER=B A\nA_OK=1\nA_TRY=1\nB_OK=1\nB_TRY=2", "B", "AB", ""),
        ("ORDER=B A\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY=3", "A", "A", "B"),
        ("ORDER=B A\nA_OK=1\nB_OK=1", "B", "AB", ""),
        ("", "", "", ""),
    ],
)
def test_what_grub_would_boot(block: str, following: str, good: str, tried_out: str) -> None:
    text = f"# GRUB Environment Block\n{block}\n" + 900 * "#"
    choice = updates.boot_choice(text)
    assert (choice.following, choice.good, choice.tried_out) == (following, frozenset(good), frozenset(tried_out))
    assert choice.first == block[len("ORDER=") :][:1]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A box that has booted system B; what RAUC was told is in its file `told`."""
    paths = Paths(tmp_path)
    paths.state.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_text("root=PARTLABEL=root-b rauc.slot=B quiet\n")

    def mark(state: str, slot: str) -> None:
        with (tmp_path / "told").open("a") as file:
            file.write(f"{slot} {state}\n")

    monkeypatch.setattr(rauc, "mark", mark)
    return paths


def told(box: Paths) -> list[str]:
    path = box.root / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_a_system_that_does_what_the_one_before_did_stays(box: Paths) -> None:
    box.update.write_bytes(packed(TRIED))
    assert "0.2.0 (system B) was confirmed" in updating.settle(box, lambda _: ())
    assert told(box) == ["booted good"]
    assert updating.last(box).pending == ""


def test_what_is_missing_is_said_by_the_system_before(box: Paths) -> None:
    box.update.write_bytes(packed(TRIED))
    with pytest.raises(Refused, match="the gateway of wan answers"):
        updating.settle(box, lambda _: ("not seen: the gateway of wan answers",))
    assert told(box) == []
    (box.root / "proc/cmdline").write_text("rauc.slot=A")
    said = updating.settle(box, lambda _: ("nobody asks",))
    assert said == "version 0.2.0 was given up, and 0.1.0 runs again: not seen: the gateway of wan answers"
    assert told(box) == ["other bad", "booted good"]


def test_a_kernel_that_never_came_up_is_said(box: Paths) -> None:
    (box.root / "proc/cmdline").write_text("rauc.slot=A")
    box.update.write_bytes(packed(TRIED))
    assert "it did not come up" in updating.settle(box, lambda _: ())
    assert "it did not come up" in sentence(updating.last(box))


def test_a_full_disk_is_no_reason_to_give_a_good_system_up(box: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    box.update.write_bytes(packed(TRIED))

    def full(path: Path, content: bytes, mode: int) -> None:
        raise Refused(f"{path} cannot be written: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(updating, "write_whole", full)
        assert "asked again after the next start" in updating.settle(box, lambda _: ())
    assert told(box) == ["booted good"]
    assert "was confirmed" in updating.settle(box, lambda _: ()) and updating.last(box).pending == ""


def test_three_power_cuts_in_a_row_do_not_bring_the_old_system_back(
    box: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six in a row do, and then it is said, and the way to the newer one is open."""
    monkeypatch.setattr(updating, "restart", lambda: rauc.mark("restart", "box"))
    confirmed_before = dataclasses.replace(TRIED, pending="", outcome="confirmed")
    box.update.write_bytes(packed(confirmed_before))
    box.boot_choice.parent.mkdir(parents=True)

    def boots(slot: str, tried: int) -> str:
        (box.root / "told").unlink(missing_ok=True)
        (box.root / "proc/cmdline").write_text(f"rauc.slot={slot}")
        box.boot_choice.write_text(f"ORDER=B A\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY={tried}\n####")
        return updating.settle(box, lambda _: ("nobody asks",))

    assert "gets three more" in boots("A", 3)
    assert told(box) == ["booted good", "other active", "box restart"]
    boots("B", 1)
    assert told(box) == ["booted good"] and updating.last(box) == confirmed_before
    for _ in range(2):
        boots("A", 3)
    assert told(box) == ["booted good"]
    assert "did not come up" in sentence(updating.last(box)) and "rollback" in sentence(updating.last(box))
    monkeypatch.setattr(rauc, "status", lambda: {"slots": []})
    works = {"facts": (), "differs": (), "configured": True, "muted": False}
    assert updating.roll_back(box, works).pending == "B"


def test_the_way_back_is_open_although_a_try_is_counted(box: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever chose the other system in the boot menu left one behind; RAUC calls such a system bad."""
    monkeypatch.setattr(rauc, "status", lambda: {"slots": [{"rootfs.0": {"bootname": "A", "boot_status": "bad"}}]})
    works = {"facts": (), "differs": (), "configured": True, "muted": False}
    box.boot_choice.parent.mkdir(parents=True)
    box.boot_choice.write_text("ORDER=B A\nA_OK=1\nA_TRY=1\nB_OK=1\nB_TRY=0\n####")
    assert updating.roll_back(box, works).pending == "A"
    assert told(box) == ["other active"]
    box.boot_choice.write_text("ORDER=B A\nA_OK=0\nA_TRY=0\nB_OK=1\nB_TRY=0\n####")
    with pytest.raises(Refused, match="system A is empty, or was given up"):
        updating.roll_back(box, works)


def test_nothing_is_installed_where_there_is_one_system(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_text("quiet")
    with pytest.raises(Refused, match="no other one to update"):
        updating.booted(Paths(tmp_path))


# -- generations of two systems


def confirmed(store: GenerationStore, number: int) -> None:
    store.begin(Generation(number, b"version: 1\n", system=store.system))
    store.confirm(number)


def test_a_system_that_is_back_has_its_own_configuration(tmp_path: Path) -> None:
    older, newer = GenerationStore(tmp_path, "0.9.0"), GenerationStore(tmp_path, "0.10.0")
    confirmed(older, 1)
    found = newer.confirmed()
    assert found and found.number == 1
    confirmed(newer, 2)
    found = older.confirmed()
    assert found and found.number == 1
    assert older.newer and not older.damaged
    # What it does not read it keeps, and a number is never used twice.
    confirmed(older, 3)
    assert newer.numbers() == [3, 2, 1]
    found = newer.confirmed()
    assert found and found.number == 3


def test_many_changes_leave_the_older_system_its_last_one(tmp_path: Path) -> None:
    older, newer = GenerationStore(tmp_path, "0.1.0"), GenerationStore(tmp_path, "0.2.0")
    confirmed(older, 1)
    confirmed(older, 2)
    for number in range(3, KEPT + 10):
        confirmed(newer, number)
    assert newer.numbers() == [*range(KEPT + 9, 9, -1), 2]
    found = older.confirmed()
    assert found and found.number == 2


def test_another_schema_of_the_file_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = GenerationStore(tmp_path, "0.1.0")
    confirmed(store, 1)
    with monkeypatch.context() as patch:
        patch.setattr("appliance.core.generations.SCHEMA", 2)
        store.begin(Generation(2, b"", system="0.1.0"))
        store.confirm(2)
    found = store.confirmed()
    assert found and found.number == 1 and store.newer
    store.forget_damaged()
    assert store.numbers() == [2, 1]
