"""A generation on disk is what was written, or is known to be damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.adapters.errors import Refused
from appliance.adapters.generation_store import GenerationStore
from appliance.core.generations import (
    CONFIRMED,
    KEPT,
    REMEMBERED,
    Damaged,
    Ending,
    Generation,
    packed,
    packed_history,
    unpacked,
    unpacked_history,
)

ONE = Generation(7, b"version: 1\n\xff\n", "anna", 1_700_000_000.5, "boot", 90.0, "abcd", "0.1.0")


def ending(number: int) -> Ending:
    return Ending(number, "d" * 64, "anna", 1.0, 2.0, CONFIRMED, "by anna")


@given(st.binary(max_size=300), st.text(max_size=20), st.integers(1, 10**6))
def test_the_same_comes_back(content: bytes, origin: str, number: int) -> None:
    written = Generation(number, content, origin, 5.0, "b", 90.0, "t", "v")
    assert unpacked(packed(written)) == written


@given(st.integers(0, len(packed(ONE)) * 8 - 1))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    raw = bytearray(packed(ONE))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        unpacked(bytes(raw))


@given(st.integers(0, len(packed(ONE)) - 1))
def test_a_torn_file_is_noticed(length: int) -> None:
    with pytest.raises(Damaged):
        unpacked(packed(ONE)[:length])


def test_the_history_forgets_the_oldest() -> None:
    found = unpacked_history(packed_history(ending(number) for number in range(REMEMBERED + 5)))
    assert [each.number for each in found] == list(range(5, REMEMBERED + 5))


def confirmed(store: GenerationStore, number: int) -> None:
    store.begin(Generation(number, b"%d" % number))
    store.confirm(number)


def test_a_trial_is_not_what_a_boot_loads(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path / "generations")
    assert store.confirmed() is None and store.trial() is None and store.next_number() == 1
    store.begin(ONE)
    assert store.confirmed() is None and store.trial() == ONE
    store.confirm(7)
    assert GenerationStore(store.folder).confirmed() == ONE and store.trial() is None
    assert store.next_number() == 8
    assert (store.folder / "000007").stat().st_mode & 0o777 == 0o600


def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    """A trial that went back has had its number, too."""
    store = GenerationStore(tmp_path)
    confirmed(store, 1)
    store.record(ending(2))
    assert store.next_number() == 3


def test_the_oldest_go(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path)
    for number in range(1, KEPT + 4):
        confirmed(store, number)
    assert store.numbers() == list(range(KEPT + 3, 3, -1))


def test_the_one_before_a_damaged_one_is_used(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path)
    for number in (1, 2, 3):
        confirmed(store, number)
    (tmp_path / "000003").write_bytes(b"")
    (tmp_path / "000002").write_bytes((tmp_path / "000001").read_bytes())
    found = store.confirmed()
    assert found is not None and found.number == 1
    assert store.damaged == {"000003": "generation 3 is damaged (its first line is not readable)"}
    assert store.next_number() == 4


def test_a_history_that_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path)
    store.record(ending(1))
    (tmp_path / "history").write_bytes(b"\0" * 50)
    assert store.history() == () and "history" in store.damaged
    store.record(ending(2))
    assert [each.number for each in GenerationStore(tmp_path).history()] == [2]


def test_nothing_to_confirm(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="generation 3 cannot be confirmed"):
        GenerationStore(tmp_path).confirm(3)
