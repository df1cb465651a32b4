"""The power goes after every single operation on the disk, in every way that a disk may be left (tests/unit/disk.py):
what a boot loads is always a whole confirmed generation, the one before or the one after. And the disk is full from
every single operation on: what was refused has changed nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.errors import Refused
from appliance.adapters.generation_store import GenerationStore
from appliance.adapters.keys import Keys
from appliance.core.bundle.trusted import Trusted, packed
from appliance.core.codec import to_json
from appliance.core.generations import CONFIRMED, ROLLED_BACK, Ending, Generation
from appliance.core.plan import Plan
from appliance.core.state import Trust
from appliance.shell.paths import Paths
from appliance.supervisor.bundles import ORIGIN, BundleRefused, Bundles
from appliance.supervisor.keeper import ApplyFailed
from tests.unit.disk import Disk, laid_out


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


WORKS = [(begin, {1}), (confirm, {1, 2}), (roll_back, {1}), (twice, {1, 2, 3})]


def first(folder: Path) -> GenerationStore:
    store = GenerationStore(folder)
    store.begin(generation(1))
    store.confirm(1)
    store.record(ending(1, CONFIRMED))
    return store


@pytest.mark.parametrize(("work", "loads"), WORKS)
def test_a_boot_finds_a_whole_confirmed_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[GenerationStore], None], loads: set[int]
) -> None:
    folder = tmp_path / "generations"
    store = first(folder)
    disk = Disk(folder)
    disk.watch(monkeypatch)
    work(store)
    monkeypatch.undo()
    print(f"{work.__name__}: {len(disk.states)} states of the disk after {disk.operations} operations")
    assert len(disk.states) > 3
    found = set()
    for number, state in enumerate(sorted(disk.states)):
        left = tmp_path / f"left-{number}"
        laid_out(state, tmp_path, left)
        after = GenerationStore(left / "generations")
        booted = after.confirmed()
        assert booted is not None and booted == generation(booted.number), state
        found.add(booted.number)
        # Whatever is left of the trial, it can be ended, and the next one begins with a number of its own.
        after.trial()
        after.discard()
        assert after.next_number() > booted.number
    assert found <= loads and max(loads) in found


@pytest.mark.parametrize(("work", "loads"), WORKS)
def test_a_full_disk(tmp_path: Path, work: Callable[[GenerationStore], None], loads: set[int]) -> None:
    tried = 0
    while True:
        tried += 1
        folder = tmp_path / f"full-{tried}"
        store = first(folder)
        disk = Disk(folder, full=tried)
        with pytest.MonkeyPatch.context() as patched:
            disk.watch(patched)
            try:
                work(store)
                break
            except Refused as error:
                assert "No space left on device" in str(error)
        booted = GenerationStore(folder).confirmed()
        assert booted is not None and booted == generation(booted.number) and booted.number in loads
        # There is room again: what was refused can be done.
        number = store.next_number()
        store.discard()
        store.begin(generation(number))
        store.confirm(number)
        after = GenerationStore(folder).confirmed()
        assert after and after.number == number
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    print(f"{work.__name__}: the disk was full at {tried - 1} operations")


def test_after_confirm_returned_no_cut_takes_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "generations"
    store = first(folder)
    disk = Disk(folder)
    disk.watch(monkeypatch)
    store.begin(generation(2))
    store.confirm(2)
    disk.states.clear()
    store.record(ending(2, CONFIRMED))
    assert disk.states and all("000002" in dict(names) for state in disk.states for _, names in state)


# -- bundles -----------------------------------------------------------------------------------------------------------

TRUST = Trust(1, {"anna": "ssh-ed25519 AAAA"})
OLD, NEW = Trusted("zurich", TRUST), Trusted("zurich", TRUST, 7, "b" * 64, 1.0)
SECRET = base64.b64encode(b"s" * 32).decode()
ORIGIN_7 = f"{ORIGIN}7 ({'b' * 16}), signed by anna"


class Box:
    """What a bundle's way through a box writes: the trusted state, a secret, the generation, the receipt. Its judge is
    another process that writes nothing of these; here it says what it would."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.keys = Keys(self.paths.state)
        self.store = GenerationStore(self.paths.generations)
        self.bundles = Bundles(self.paths, self.keys, self.try_it, self.store.confirmed)
        self.bundles._ask = self.ask  # type: ignore[method-assign]

    def lay(self) -> None:
        for folder in (self.paths.generations, self.keys.secrets):
            folder.mkdir(parents=True)
        first(self.paths.generations)
        self.paths.trusted.write_bytes(packed(OLD))
        self.paths.box.write_text("alpha\n")

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "receipt":
            text = "".join(f"  {name}: {value}\n" for name, value in request["receipt"].items())
            return {"receipt": f"payload: |\n{text}"}
        believed = {"digest": "b" * 64, "serial": 7, "signers": ["anna"], "configuration": "version: 1\n" * 20}
        return {"believed": {**believed, "trusted": to_json(NEW), "secrets": {"psk": SECRET}, "needs": ["psk"]}}

    async def try_it(self, content: bytes, origin: str) -> Plan | None:
        assert origin == ORIGIN_7
        try:
            self.store.begin(Generation(2, content, origin, 1.0, "boot", 90.0, "trial"))
            self.store.confirm(2)
        except Refused as error:
            self.store.discard()
            raise ApplyFailed(str(error)) from None
        return Plan()

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.paths.state, self.paths.generations, self.keys.secrets)

    def consistent(self) -> str:
        """What a boot finds; asserts that it is whole and in step."""
        trusted = self.bundles.trusted()
        assert trusted in (OLD, NEW)
        confirmed = self.store.confirmed()
        assert confirmed and confirmed.number in (1, 2)
        secrets = self.keys.digests().preshared
        if confirmed.number == 2 or self.store.trial():
            # The serial counts before anything of it runs, and what it needs is there.
            assert trusted == NEW and "psk" in secrets
        asyncio.run(self.bundles.load())
        outcome = self.bundles.receipt.get("outcome", "none")
        if trusted == OLD:
            assert outcome == "none"
        else:
            assert outcome == ("applied" if confirmed.number == 2 else "rolled back")
        return f"generation {confirmed.number}, {outcome}"


def test_the_power_goes_while_a_bundle_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "box"
    box = Box(root)
    box.lay()
    disk = Disk(*box.folders)
    disk.watch(monkeypatch)
    asyncio.run(box.bundles.apply(b"bundle", "alpha"))
    monkeypatch.undo()
    assert box.consistent() == "generation 2, applied"
    print(f"bundle apply: {len(disk.states)} states of the disk after {disk.operations} operations")
    found = set()
    for number, state in enumerate(sorted(disk.states)):
        left = tmp_path / f"left-{number}"
        laid_out(state, root, left)
        found.add(Box(left).consistent())
    assert found == {"generation 1, none", "generation 1, rolled back", "generation 2, applied"}


def test_the_disk_is_full_while_a_bundle_is_applied(tmp_path: Path) -> None:
    tried = 0
    while True:
        tried += 1
        box = Box(tmp_path / f"full-{tried}")
        box.lay()
        disk = Disk(*box.folders, full=tried)
        with pytest.MonkeyPatch.context() as patched:
            disk.watch(patched)
            try:
                asyncio.run(box.bundles.apply(b"bundle", "alpha"))
            except (Refused, ApplyFailed, BundleRefused) as error:
                assert "No space left on device" in str(error)
        whole = Box(box.paths.root).consistent()
        if disk.operations + 1 < tried:
            break
    assert whole == "generation 2, applied"
    print(f"bundle apply: the disk was full at {tried - 1} operations")
