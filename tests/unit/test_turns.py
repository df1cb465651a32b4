"""An update of both boxes of a pair: whose turn it is, when it stops, and that both can say which box did what."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters import pair_stream, rauc, systemd
from appliance.adapters.errors import Refused
from appliance.core import turns as rule
from appliance.core.codec import to_json
from appliance.core.proof import GATEWAY, PARTNER, Fact
from appliance.core.turns import CONFIRMED, FAILED, NEW, PREPARED, RESTARTING, Act, Seen, Side, Told, act, sentence
from appliance.core.updates import Record
from appliance.shell import turns, updating
from appliance.shell.paths import Paths
from appliance.supervisor.turns import Turns

BRAVO = Side("7", "0.2.0", "bravo", "alpha", first=True, source=False)
ALPHA = rule.opposite(BRAVO)
STANDBY, MASTER = Seen(heard=True, master=True), Seen(heard=True, ready=True, muted=False)


def at(side: Side, stand: str, **more: Any) -> Side:
    return dataclasses.replace(side, stand=stand, **more)


@pytest.mark.parametrize(
    ("mine", "theirs", "seen", "wanted"),
    [
        (BRAVO, Told(NEW), STANDBY, Act.PREPARE),
        (BRAVO, None, Seen(), Act.PREPARE),
        # The backup goes first, as soon as both have it; the master does not.
        (at(BRAVO, PREPARED), Told(NEW), STANDBY, Act.WAIT),
        (at(BRAVO, PREPARED), Told(PREPARED), STANDBY, Act.RESTART),
        (at(ALPHA, PREPARED), Told(PREPARED), MASTER, Act.WAIT),
        (at(ALPHA, PREPARED), Told(RESTARTING), MASTER, Act.WAIT),
        # Its turn: the role goes over, then the other one shows that it can do the work, then it restarts.
        (at(ALPHA, PREPARED), Told(CONFIRMED), MASTER, Act.HAND_OVER),
        (at(ALPHA, PREPARED), Told(CONFIRMED), Seen(heard=True, muted=False), Act.WAIT),
        (at(ALPHA, PREPARED), Told(CONFIRMED), Seen(heard=True), Act.WAIT),
        (at(ALPHA, PREPARED), Told(CONFIRMED), STANDBY, Act.PROVE),
        (at(ALPHA, PREPARED, proved=True), Told(CONFIRMED), STANDBY, Act.RESTART),
        # Nobody restarts while the other one is not heard.
        (at(BRAVO, PREPARED), Told(PREPARED), Seen(), Act.WAIT),
        (at(BRAVO, PREPARED), None, STANDBY, Act.WAIT),
        # The roles have changed meanwhile.
        (at(BRAVO, PREPARED), Told(PREPARED), MASTER, Act.HAND_OVER),
        (at(BRAVO, RESTARTING), None, Seen(), Act.LOOK),
        (at(BRAVO, RESTARTING), Told(FAILED), STANDBY, Act.LOOK),
        (at(BRAVO, CONFIRMED), Told(PREPARED), STANDBY, Act.WAIT),
        (at(BRAVO, CONFIRMED), Told(CONFIRMED), STANDBY, Act.END),
        # Whatever failed, and whose: nobody begins anything.
        *((at(side, stand), Told(FAILED), MASTER, Act.END) for side in (ALPHA, BRAVO) for stand in (NEW, PREPARED)),
        *((at(side, FAILED), Told(stand), MASTER, Act.END) for side in (ALPHA, BRAVO) for stand in (NEW, CONFIRMED)),
    ],
)
def test_whose_turn_it_is(mine: Side, theirs: Told | None, seen: Seen, wanted: Act) -> None:
    assert act(mine, theirs, seen, 0.0) == wanted


def test_nobody_waits_for_ever() -> None:
    late = rule.PATIENCE_SECONDS + 1
    assert act(at(ALPHA, PREPARED), None, Seen(), late) == Act.GIVE_UP
    assert rule.gave_up(at(ALPHA, PREPARED)).stand == FAILED
    after = rule.gave_up(at(BRAVO, CONFIRMED, theirs=PREPARED))
    assert after.over and after.stand == CONFIRMED
    assert sentence(after).endswith("stopped: alpha was not changed; bravo runs it, confirmed")


def test_both_boxes_tell_the_same_story() -> None:
    """In one sentence, whichever of the two is asked."""
    why = "went back to 0.1.0: not seen: the gateway of wan answers"
    story = f"the update of both boxes to version 0.2.0 stopped: alpha was not changed; bravo {why}"
    assert sentence(at(BRAVO, FAILED, why=why, theirs=PREPARED, over=True)) == story
    assert sentence(at(ALPHA, PREPARED, theirs=FAILED, theirs_why=why, over=True)) == story
    assert sentence(at(ALPHA, CONFIRMED, theirs=CONFIRMED)) == "both boxes run version 0.2.0, confirmed"


def test_what_the_restart_came_to() -> None:
    mine = at(BRAVO, RESTARTING)
    trial = Record(pending="B", written=True, turn="7")
    assert rule.looked(mine, trial) == mine
    assert rule.looked(mine, dataclasses.replace(trial, pending="", outcome="confirmed")).stand == CONFIRMED
    back = rule.looked(mine, Record(turn="7", before="0.1.0", outcome="went back", why="it hung"))
    assert (back.stand, back.why) == (FAILED, "went back to 0.1.0: it hung")
    # The power went before it was even asked for: what is on record is another update.
    assert rule.looked(mine, Record(turn="6", outcome="confirmed")).stand == FAILED


def test_a_side_survives_another_version() -> None:
    side = at(ALPHA, PREPARED, administrator=("192.168.10.20", 22), works={"facts": []})
    assert rule.unpacked(rule.packed(side)) == side
    more = json.loads(rule.packed(side)) | {"of tomorrow": 1}
    assert rule.unpacked(json.dumps(more).encode()) == side
    for broken in (b"", b"[]", b"7", b"{}", rule.packed(side)[:50]):
        assert rule.unpacked(broken) is None
    assert rule.told({"id": "6", "stand": CONFIRMED}, side).stand == FAILED


# -- two boxes, from the command to the end; RAUC and the restarts are played ------------------------------------------


class Restarts(BaseException):
    """The box goes down."""


here = threading.local()


class Box:
    """One box: its disk, its slots, and what its supervisor would say."""

    def __init__(self, folder: Path, office: Office, name: str, other: str) -> None:
        self.office, self.name, self.other = office, name, other
        self.paths = Paths(folder / name)
        self.paths.state.mkdir(parents=True)
        (self.paths.root / "proc/sys/kernel/random").mkdir(parents=True)
        self.slot, self.following, self.boots, self.up = "A", "A", 0, True
        self.fails = ""
        """What its new system lacks."""
        self.lacks: tuple[str, ...] = ()
        """What it lacks as master."""
        self.turns = Turns(self.paths, lambda: "", self._prove, lambda: office.hand_over(self.other))
        self.boot()

    def boot(self) -> None:
        self.boots += 1
        (self.paths.root / "proc/cmdline").write_text(f"rauc.slot={self.slot}")
        (self.paths.root / "proc/sys/kernel/random/boot_id").write_text(f"boot {self.boots}")
        self.up = True

    def restart(self) -> None:
        """Into what was made active, which proves itself or gives way."""
        self.up = False
        self.office.happened.append(f"{self.name} restarts")
        if self.office.master == self.name:
            self.office.master = self.other if self.office.boxes[self.other].up else ""
        self.slot = self.following
        self.boot()
        try:
            updating.settle(self.paths, lambda _: (self.fails,) if self.fails and self.slot == "B" else ())
        except Refused:
            self.slot = self.following = "A"
            self.boot()
            updating.settle(self.paths, lambda _: ())

    async def _prove(self, request: dict[str, Any]) -> tuple[str, ...]:
        self.office.happened.append(f"{self.name} shows {len(request['facts'])} facts")
        return self.lacks

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        partner = self.office.boxes[self.other]
        muted = self.office.master != self.name
        if request["verb"] == "handover":
            self.office.hand_over(self.other)
            return {}
        pair = {"box": self.name, "partner": self.other, "own": self.name, "address": self.other}
        pair |= {"muted": muted, "heard": partner.up, "master": self.office.master == self.other, "ready": partner.up}
        facts = [to_json(Fact(GATEWAY, "wan")), to_json(Fact(PARTNER, self.other))]
        return {"pair": pair, "facts": facts, "differs": [], "configured": True, "muted": muted}

    def carry_on(self) -> None:
        """Its unit, started again by each boot."""
        here.box = self
        while True:
            try:
                turns.carry_on(self.paths, self.ask, lambda line: None)
                return
            except Restarts:
                self.restart()


class Office:
    def __init__(self, folder: Path) -> None:
        self.master, self.happened = "alpha", list[str]()
        self.boxes = {"alpha": Box(folder, self, "alpha", "bravo"), "bravo": Box(folder, self, "bravo", "alpha")}
        self.bundle = folder / "it.raucb"
        self.bundle.write_bytes(random.Random(7).randbytes(3_000_000))

    def hand_over(self, to: str) -> None:
        self.happened.append(f"{to} is master")
        self.master = to

    def update(self, name: str) -> dict[str, str]:
        """By the command on that box; what both say in the end."""
        turns.start(self.boxes[name].paths, self.bundle, self.boxes[name].ask({"verb": "update"})["pair"], None)
        units = [threading.Thread(target=box.carry_on, daemon=True) for box in self.boxes.values()]
        for unit in units:
            unit.start()
        for unit in units:
            unit.join(20)
            assert not unit.is_alive(), "it does not end"
        assert not list(self.boxes["alpha"].paths.state.glob("*.raucb"))
        assert not list(self.boxes["bravo"].paths.state.glob("*.raucb"))
        return {each: turns.sentence(box.paths) for each, box in self.boxes.items()}


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    made = Office(tmp_path)

    async def partner(own: str, address: str, port: int, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        if not made.boxes[address].up:
            raise Refused("the other box does not answer on the pair link")
        return await made.boxes[address].turns.answer(json.loads(json.dumps(request)))

    def mark(state: str, slot: str) -> None:
        if state == "active":
            here.box.following = "B"

    def install(bundle: Path, progress: Callable[[str], None]) -> None:
        assert bundle.read_bytes() == made.bundle.read_bytes()
        made.happened.append(f"{bundle.parts[-4]} has it")

    def restart() -> None:
        raise Restarts

    monkeypatch.setattr(pair_stream, "ask", partner)
    monkeypatch.setattr(rauc, "mark", mark)
    monkeypatch.setattr(rauc, "install", install)
    monkeypatch.setattr(rauc, "status", lambda: {"compatible": "appliance-amd64"})
    monkeypatch.setattr(rauc, "info", lambda bundle: {"compatible": "appliance-amd64", "version": "9.0.0"})
    monkeypatch.setattr(updating, "restart", restart)
    monkeypatch.setattr(systemd, "start_later", lambda unit: None)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.01)
    yield made


@pytest.mark.parametrize("where", ["alpha", "bravo"])
def test_the_backup_goes_first_wherever_it_was_asked_for(office: Office, where: str) -> None:
    said = office.update(where)
    assert set(said.values()) == {"both boxes run version 9.0.0, confirmed"}
    assert office.happened[2:] == [
        "bravo restarts",
        "bravo is master",
        "bravo shows 1 facts",
        "alpha restarts",
    ]
    assert set(office.happened[:2]) == {"alpha has it", "bravo has it"}


def test_the_first_that_does_not_stay_is_the_last(office: Office) -> None:
    office.boxes["bravo"].fails = "not seen: alpha is heard"
    said = office.update("alpha")
    assert "alpha restarts" not in office.happened and office.master == "alpha"
    assert len(set(said.values())) == 1
    assert said["alpha"].endswith("alpha was not changed; bravo went back to 0.1.0: not seen: alpha is heard")


def test_a_backup_that_cannot_do_the_masters_work_gives_it_back(office: Office) -> None:
    office.boxes["bravo"].lacks = ("not seen: office.branch exchanges data",)
    said = office.update("bravo")
    assert "alpha restarts" not in office.happened and office.master == "alpha"
    assert len(set(said.values())) == 1
    assert "alpha has the role again, since bravo did not do its work: not seen: office.branch" in said["bravo"]
    assert said["bravo"].endswith("bravo runs it, confirmed")


def test_the_second_that_goes_back_leaves_the_first_at_work(office: Office) -> None:
    office.boxes["alpha"].fails = "not seen: the gateway of wan answers"
    said = office.update("alpha")
    assert len(set(said.values())) == 1
    assert "alpha went back to 0.1.0: not seen: the gateway" in said["alpha"]
    assert said["alpha"].endswith("bravo runs it, confirmed") and office.master == "bravo"


def test_one_that_refuses_it_stops_both_before_anything_restarts(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(bundle: Path, progress: Callable[[str], None]) -> None:
        if "bravo" in bundle.parts:
            raise Refused("LastError: No space left on device")

    monkeypatch.setattr(rauc, "install", install)
    said = office.update("alpha")
    assert office.happened == []
    assert "bravo could not take it: the update was not installed: No space left" in said["alpha"]


def test_a_person_stops_it(office: Office) -> None:
    alpha = office.boxes["alpha"]
    turns.start(alpha.paths, office.bundle, alpha.ask({"verb": "update"})["pair"], None)
    with pytest.raises(Refused, match="end that first: appliance update stop"):
        turns.start(alpha.paths, office.bundle, alpha.ask({"verb": "update"})["pair"], None)
    turns.stop(alpha.paths, "anna")
    for box in office.boxes.values():
        box.carry_on()
    assert office.happened == []
    assert "alpha was told by anna to stop" in turns.sentence(office.boxes["bravo"].paths)
    with pytest.raises(Refused, match="no update of both boxes is under way"):
        turns.stop(alpha.paths, "anna")


def test_a_partner_that_is_busy_changes_nothing(office: Office) -> None:
    alpha, bravo = office.boxes["alpha"], office.boxes["bravo"]
    bravo.turns.busy = lambda: "a configuration is on trial"
    with pytest.raises(Refused, match="bravo: a configuration is on trial; nothing was changed"):
        turns.start(alpha.paths, office.bundle, alpha.ask({"verb": "update"})["pair"], None)
    assert turns.read(alpha.paths) is None and turns.read(bravo.paths) is None


def test_a_cut_between_the_word_and_the_restart(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit died after it had written that it restarts: it restarts when it is started again."""
    bravo, tries = office.boxes["bravo"], list[int]()
    restart = updating.restart

    def dies_once() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise KeyboardInterrupt
        restart()

    monkeypatch.setattr(updating, "restart", dies_once)
    carry_on = bravo.carry_on

    def again() -> None:
        try:
            carry_on()
        except KeyboardInterrupt:
            carry_on()

    bravo.carry_on = again  # type: ignore[method-assign]
    assert set(office.update("alpha").values()) == {"both boxes run version 9.0.0, confirmed"}


def test_a_part_that_is_asked_for_beyond_its_end_is_empty(office: Office) -> None:
    alpha = office.boxes["alpha"]
    alpha.paths.turn_bundle.write_bytes(b"12345")
    answer = asyncio.run(alpha.turns.answer({"do": "part", "offset": 5}))
    assert answer == {"size": 5, "data": ""}
