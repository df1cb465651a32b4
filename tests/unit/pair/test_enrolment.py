"""The code, and a conversation in which somebody else has his hands: he gets nothing, and nothing is taken."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.adapters.enrolment_channel import Broken, Channel, WrongCode
from appliance.adapters.keys import Keys
from appliance.core.pair.enrolment import (
    ENROLMENT_NETWORK,
    Code,
    Joining,
    Welcome,
    new_code,
    read_code,
    sound,
)
from appliance.shell.enrolment import Before
from appliance.shell.paths import Paths

KEY = "MDjxVfjG5F5MSou2m18I/4AKH/SShejeviOlgzxtBRI="
GIVEN = {"keys": {"wg-office": KEY}}


@given(st.integers(0, 2**32))
def test_a_code_is_read_as_it_is_shown(seed: int) -> None:
    code = new_code(random.Random(seed).randrange)
    assert read_code(str(code)) == read_code(str(code).replace("-", "")) == read_code(f" {code} ") == code
    assert ip_address(code.address) in ip_network(ENROLMENT_NETWORK)


@pytest.mark.parametrize("text", ["", "417", "417-2930-558", "417-2930-55867", "417-2930-558x", "٤١٧-2930-5586", "--"])
def test_what_is_no_code(text: str) -> None:
    found = read_code(text)
    assert found is None or str(found).isascii()


@pytest.mark.parametrize(
    "change",
    [
        {"pair_key": ""},
        {"keys": {"../wg-office": KEY}},
        {"keys": {"wg-office": "short"}},
        {"secrets": {"a/b": KEY}},
        {"box": "alpha"},
        {"site": "Zürich\n"},
    ],
    ids=str,
)
def test_a_welcome_that_is_not_whole(change: dict[str, Any]) -> None:
    good = {"site": "zurich", "box": "bravo", "inviter": "alpha", "pair_key": KEY}
    whole = {**good, "keys": {"wg-office": KEY}, "secrets": {}, "file": "version: 1"}
    assert sound(Welcome(**whole)) and not sound(Welcome(**{**whole, **change}))
    assert sound(Joining(KEY)) and not sound(Joining(KEY[:-1]))


def conversation(inviting: Code, joining: Code, meddle: Callable[[int, bytes], bytes | None]) -> tuple[str, Any]:
    """What the inviting side made of it, and what the joining side got. `meddle` sees each line on its way, numbered
    in the order of the conversation; None takes it away, and the connection with it."""
    alice, bob = socket.socketpair()
    count = iter(range(100))

    class Meddled(Channel):
        def _write(self, message: dict[str, Any]) -> None:
            line = meddle(next(count), json.dumps(message).encode() + b"\n")
            if line is None or not line.endswith(b"\n") or b"\n" in line[:-1]:
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self.connection.sendall(line)

    outcome = ["nothing"]

    def invite() -> None:
        channel = Meddled(alice, 1, inviting.name, inviting.password, inviting=True)
        try:
            channel.greet(channel.hear_greeting())
            channel.receive()
            channel.send(GIVEN)
            outcome[0] = "given"
            outcome[0] = "taken" if channel.receive() == {"taken": True} else "given"
        except (Broken, WrongCode, OSError) as error:
            if outcome[0] == "nothing":
                outcome[0] = type(error).__name__
            alice.shutdown(socket.SHUT_RDWR)

    inviter = threading.Thread(target=invite)
    inviter.start()
    got: Any = None
    channel = Meddled(bob, 1, joining.name, joining.password, inviting=False)
    try:
        channel.greet()
        channel.send({"pair_key": KEY})
        got = channel.receive()
        channel.send({"taken": True})
    except (Broken, WrongCode, OSError) as error:
        got = got or type(error).__name__
        bob.shutdown(socket.SHUT_RDWR)
    inviter.join(10)
    alice.close()
    bob.close()
    return outcome[0], got


CODE = Code("417", "29305586")


def test_who_knows_the_code_is_given_everything() -> None:
    assert conversation(CODE, CODE, lambda number, line: line) == ("taken", GIVEN)


def test_who_does_not_is_given_nothing() -> None:
    seen: list[bytes] = []

    def look(number: int, line: bytes) -> bytes:
        seen.append(line)
        return line

    outcome, got = conversation(CODE, Code("417", "29305587"), look)
    assert (outcome, got) == ("WrongCode", "Broken")
    assert len(seen) == 3  # the inviting side has said nothing but its PAKE message


@settings(max_examples=40, deadline=None)
@given(number=st.integers(0, 3), place=st.floats(0, 0.999), flip=st.integers(1, 255))
def test_any_altered_byte_ends_it(number: int, place: float, flip: int) -> None:
    """Up to and with what is given: whoever alters it, nobody takes it."""

    def meddle(at: int, line: bytes) -> bytes:
        if at != number:
            return line
        index = int(place * (len(line) - 1))
        return line[:index] + bytes([line[index] ^ flip]) + line[index + 1 :]

    outcome, got = conversation(CODE, CODE, meddle)
    # What is no part of the message (a blank of the JSON, the case of nothing) may be altered without harm.
    assert (outcome, got) == ("taken", GIVEN) or not isinstance(got, dict)


@pytest.mark.parametrize("number", range(4))
def test_a_message_that_is_taken_away_ends_it(number: int) -> None:
    _, got = conversation(CODE, CODE, lambda at, line: None if at == number else line)
    assert not isinstance(got, dict)


def test_a_message_that_is_reflected_or_repeated_ends_it() -> None:
    first: list[bytes] = []

    def meddle(at: int, line: bytes) -> bytes:
        first.append(line)
        return first[0] if at == 1 else line  # the joining side's own greeting comes back to it

    _, got = conversation(CODE, CODE, meddle)
    assert not isinstance(got, dict)


def test_nothing_secret_is_on_the_wire() -> None:
    seen: list[bytes] = []

    def look(number: int, line: bytes) -> bytes:
        seen.append(line)
        return line

    conversation(CODE, CODE, look)
    wire = b"".join(seen)
    assert KEY.encode() not in wire and CODE.password.encode() not in wire and json.dumps(GIVEN).encode() not in wire


def test_a_box_that_cannot_do_what_it_was_given_is_what_it_was(tmp_path: Path) -> None:
    """Its own keys, file and name are as before; of the new ones nothing is left."""
    paths, keys = Paths(tmp_path), Keys(tmp_path / "data/appliance")
    for path, content in ((keys.keys / "wg-office.key", "own"), (keys.keys / "wg-office.pub", "own"), (paths.box, "x")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o640)
    given = {"wg-office": KEY, "wg-guests": KEY}
    welcome = Welcome("zurich", "bravo", "alpha", KEY, given, {"provider": "password"}, "version: 1")
    before = Before(paths, keys, welcome)
    for path in before.files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new")
    before.restore()
    left = {path.relative_to(paths.state): path.read_text() for path in paths.state.rglob("*") if path.is_file()}
    assert left == {Path("keys/wg-office.key"): "own", Path("keys/wg-office.pub"): "own", Path("box"): "x"}
    assert (keys.keys / "wg-office.key").stat().st_mode & 0o777 == 0o640
