"""`appliance status --watch` by Textual's Pilot, with a supervisor of paper."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rich.text import Text
from textual.pilot import Pilot
from textual.widgets import Static

from appliance.cli import main
from appliance.cli.failure import Failure
from appliance.cli.watching.app import WatchApp
from appliance.cli.watching.rates import BLOCKS, PLAIN, Rates
from tests.unit.status.answers import alone, pair, unconfigured

Story = Callable[[WatchApp, Pilot[int]], Awaitable[None]]
PEER = "office.geneva"


class Supervisor:
    """Answers what `say` holds; a sentence is one that it cannot be asked for."""

    def __init__(self, say: dict[str, Any] | str) -> None:
        self.say = say
        self.asked = 0

    def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if isinstance(self.say, str):
            raise Failure(self.say)
        return self.say


def played(supervisor: Supervisor, story: Story) -> None:
    async def play() -> None:
        app = WatchApp(supervisor, supervisor(), every=0.02)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await story(app, pilot)

    asyncio.run(play())


def text(app: WatchApp, part: str) -> str:
    return str(app.query_one(f"#{part}", Static).renderable)


def colours(app: WatchApp, word: str) -> set[str]:
    """The colours of a word among the peers."""
    shown = app.query_one("#peers", Static).renderable
    assert isinstance(shown, Text)
    return {str(span.style) for span in shown.spans if shown.plain[span.start : span.end].strip() == word}


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "not within 5 s"
        await pilot.pause(0.01)


def counted(received: int, sent: int) -> dict[str, Any]:
    found = pair(time.time())
    peer = next(peer for peer in found["tunnels"][0]["peers"] if peer["name"] == PEER)
    peer.update(received_bytes=received, sent_bytes=sent)
    return found


def test_a_pair_with_a_tunnel() -> None:
    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        assert text(app, "head").startswith("zurich alpha: master since ")
        assert "bravo: backup, ready, in step; last takeover" in text(app, "above")
        assert "first peer after 90 ms" in text(app, "above")
        assert "wan        cable in" in text(app, "above") and "via 203.0.113.1" in text(app, "above")
        assert "office  userspace, port 51820, 1 of 2 up" in text(app, "peers")
        assert colours(app, "up") == {"green"} and colours(app, "never seen") == {"yellow"}

    played(Supervisor(pair(time.time())), story)


def test_nothing_is_green_but_peers_that_are_up() -> None:
    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        shown = app.query_one("#above", Static).renderable
        assert isinstance(shown, Text)
        assert "green" not in {str(span.style) for span in shown.spans}

    played(Supervisor(pair(time.time())), story)


def test_a_supervisor_that_falls_silent_takes_the_green_along() -> None:
    supervisor = Supervisor(pair(time.time()))

    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        supervisor.say = "the supervisor did not answer"
        await until(pilot, lambda: "what stands below is old" in text(app, "said"))
        assert colours(app, "up") <= {""}
        supervisor.say = pair(time.time())
        await until(pilot, lambda: not app.query_one("#said").display)
        assert colours(app, "up") == {"green"}

    played(supervisor, story)


def test_a_trial_counts_down() -> None:
    supervisor = Supervisor(alone(time.time()))

    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        assert f"on trial: generation 8 of anna, goes in 61 s {'#' * 20}" in text(app, "above")
        later = alone(time.time())
        later["trial"] = {**later["trial"], "seconds_left": 30.6}
        supervisor.say = later
        await until(pilot, lambda: f"goes in 31 s {'#' * 10}{'.' * 10}" in text(app, "above"))

    played(supervisor, story)


def test_with_much_to_say_the_uplinks_and_the_newest_rate_still_fit() -> None:
    answer = {**pair(time.time()), "trial": alone(time.time())["trial"]}
    answer["warnings"] = [f"{number}: a sentence that is so long that it takes two lines of it" * 2 for number in "123"]
    answer["notices"] = ["the keys of office.geneva are 400 days old"]
    peers = answer["tunnels"][0]["peers"]
    peers += [{**peers[0], "name": f"office.p{number}", "public_key": f"KEY-{number}"} for number in range(30)]

    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        lines = text(app, "above").splitlines()
        assert any("wan        cable in" in line for line in lines[:6]), lines
        assert "note: the keys of office.geneva are 400 days old" in lines
        # "  " + 22 + state, handshake, two rates, and twelve samples.
        assert app.query_one("#peers", Static).size.width >= 78

    played(Supervisor(answer), story)


def test_a_box_without_a_configuration() -> None:
    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        assert "no configuration yet" in text(app, "head")
        assert "the supervisor is starting" in text(app, "above")

    played(Supervisor(unconfigured()), story)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "escape"])
def test_it_ends(key: str) -> None:
    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        await pilot.press(key)
        await until(pilot, lambda: not app.is_running)

    played(Supervisor(pair(time.time())), story)


def test_a_thousand_peers_scroll_in_eighty_columns() -> None:
    many = pair(time.time())
    peer = many["tunnels"][0]["peers"][1]
    many["tunnels"][0]["peers"] = [{**peer, "name": f"office.{'n' * 20}{number:04}"} for number in range(1000)]

    async def story(app: WatchApp, pilot: Pilot[int]) -> None:
        assert max(len(line) for line in text(app, "peers").splitlines()) <= 78
        assert "1000 of 1000 up" in text(app, "peers")
        await pilot.press("end")
        await until(pilot, lambda: app.query_one("#list").scroll_offset.y > 900)

    played(Supervisor(many), story)


def test_rates_are_what_came_between_two_answers() -> None:
    rates = Rates()
    for at, (received, sent) in enumerate([(0, 0), (2000, 500), (2000, 500), (6000, 500), (10, 0), (1010, 0)]):
        rates.take(counted(received, sent), 10.0 + at)
        if at == 0:
            assert rates.last(PEER) is None
        if at == 1:
            assert rates.last(PEER) == (2000.0, 500.0)
    # The engine began anew: what was between is not known, and is not drawn.
    assert rates.last(PEER) == (1000.0, 0.0)
    assert rates.curve(PEER, plain=False).lstrip() == f"{BLOCKS[5]} {BLOCKS[8]}{BLOCKS[2]}"
    assert rates.curve(PEER, plain=True).lstrip() == f"{PLAIN[5]} {PLAIN[8]}{PLAIN[2]}"


def test_where_no_terminal_is_it_says_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--watch"]) == 1
    assert capsys.readouterr().err == (
        "appliance: --watch draws on a terminal, and this is none; for programs there is: appliance status --json\n"
    )
