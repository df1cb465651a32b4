"""The screens of `appliance setup`, by Textual's Pilot, on a box of paper."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from appliance.cli.failure import Failure, Uncertain
from appliance.cli.wizard.app import SetupApp
from appliance.core.check import check
from tests.unit.cli.wizard_world import KEY, PaperWorld

Story = Callable[[SetupApp, Pilot[int]], Awaitable[None]]


def played(world: PaperWorld, story: Story, lines: int = 24) -> None:
    async def play() -> None:
        app = SetupApp(world)
        async with app.run_test(size=(80, lines)) as pilot:
            await pilot.pause()
            await story(app, pilot)

    asyncio.run(play())


def shows(app: SetupApp, part: str) -> str:
    return str(app.query_one(f"#{part}", Static).renderable)


async def enter(app: SetupApp, pilot: Pilot[int], text: str | None = None) -> None:
    """Types an answer in the place of what stands there, or chooses it, and goes on."""
    if text is not None and (options := app.query("#options")):
        keys = list(app.talk.choices())
        options.first(OptionList).highlighted = keys.index(text)
    elif text is not None:
        app.query_one("#input", Input).value = text
    await pilot.press("enter")
    await settled(app, pilot)


async def settled(app: SetupApp, pilot: Pilot[int]) -> None:
    for _ in range(200):
        await pilot.pause(0.01)
        if app.stage != "busy":
            return
    raise AssertionError(f"still busy: {shows(app, 'about')}")


async def done(app: SetupApp, pilot: Pilot[int]) -> None:
    """Waits for the last screen, which may come by itself."""
    for _ in range(100):
        await pilot.pause(0.05)
        if app.stage == "done":
            break


async def through(app: SetupApp, pilot: Pilot[int], **answers: str) -> None:
    """Answers every question; with the default where none is given."""
    for _ in range(30):
        if app.stage != "ask":
            return
        assert app.talk.question
        await enter(app, pilot, answers.get(app.talk.question.key))


def test_from_the_first_screen_to_the_end() -> None:
    world = PaperWorld()

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        answers = {"admin": "anna", "admin_key": f"{KEY} anna@laptop", "reached_at": "office.example.net"}
        await through(app, pilot, site="zurich", **answers)
        assert app.stage == "secret"
        await enter(app, pilot, "a-long-password")
        assert app.stage == "repeat"
        await enter(app, pilot, "a-long-password")
        assert app.stage == "review"
        assert "What the box will do:" in shows(app, "long") and "site: zurich" in shows(app, "long")
        check(app.talk.text.encode())
        # The uplink's network is the tunnel's default: the wizard offers another one.
        assert "10.120.0.1/24" in app.talk.text
        await enter(app, pilot)
        assert app.stage == "trial", shows(app, "said")
        assert "from outside: office.example.net:51820 leads to this box" in shows(app, "long")
        await enter(app, pilot)
        assert app.stage == "done"
        assert "appliance peer add NAME" in shows(app, "long")
        # Once it is kept, nobody is asked for a password again.
        assert world.done == ["apply", "password", "confirm", "finish"]

    played(world, story)


def test_a_wrong_answer_is_told_at_once_and_not_taken() -> None:
    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await enter(app, pilot)
        app.query_one("#input", Input).value = "Zurich!"
        await pilot.pause()
        assert "is not a name" in shows(app, "said")
        await enter(app, pilot)
        assert app.talk.question and app.talk.question.key == "site"

    played(PaperWorld(), story)


def test_going_back_loses_nothing() -> None:
    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await through(app, pilot, site="zurich", tunnel="office", port="51999")
        while app.talk.position:
            await pilot.press("escape")
            await settled(app, pilot)
        await through(app, pilot)
        assert {"site": "zurich", "tunnel": "office", "port": "51999"}.items() <= app.talk.answers.items()

    played(PaperWorld(), story)


def test_after_a_power_cut_it_goes_on_where_it_was() -> None:
    world = PaperWorld()

    async def first(app: SetupApp, pilot: Pilot[int]) -> None:
        for answer in (None, "zurich", "alpha", "enp2s0"):
            await enter(app, pilot, answer)

    async def second(app: SetupApp, pilot: Pilot[int]) -> None:
        assert app.talk.question and app.talk.question.key == "how"
        assert app.talk.whole["uplink"] == "enp2s0"

    played(world, first)
    played(world, second)


def test_the_cable_that_is_pulled_is_the_one_that_is_meant() -> None:
    world = PaperWorld()

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        for answer in (None, "zurich", "alpha"):
            await enter(app, pilot, answer)
        world.out = {"enp2s0"}
        await app.look()
        assert "enp2s0 lost its cable" in shows(app, "said")
        world.out = set()
        await app.look()
        await enter(app, pilot)
        assert app.talk.answers["uplink"] == "enp2s0"

    played(world, story)


def test_no_answer_from_the_provider_is_said_and_may_be_overruled() -> None:
    world = PaperWorld()
    world.gives = ""

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        for answer in (None, "zurich", "alpha", "enp1s0", "dhcp"):
            await enter(app, pilot, answer)
        assert "no router gave an address" in shows(app, "said")
        assert app.talk.question and app.talk.question.key == "how"
        await enter(app, pilot)
        assert app.talk.question and app.talk.question.key == "lan"

    played(world, story)


def test_a_provider_that_answers_by_pppoe_is_found() -> None:
    world = PaperWorld()
    world.gives, world.concentrator = "", True

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        for answer in (None, "zurich", None, None, "dhcp"):
            await enter(app, pilot, answer)
        assert "a provider answers by PPPoE" in shows(app, "said") and app.entered == "pppoe"
        await enter(app, pilot)
        assert app.talk.question and app.talk.question.key == "ppp_user"

    played(world, story)


def test_a_login_at_the_provider_is_tried_and_stays_out_of_the_file() -> None:
    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        for answer in ("alone", "zurich", "alpha", "enp1s0", "pppoe", "office@example.net", "wrong"):
            await enter(app, pilot, answer)
        assert shows(app, "said").startswith("the provider refuses the user name or the password.")
        assert app.query_one("#input", Input).password
        await enter(app, pilot, "geheim")
        assert app.talk.question and app.talk.question.key == "lan"
        assert "pppoe: {user: office@example.net, password: {secret: provider}}" in app.talk.text
        assert "geheim" not in app.talk.text

    played(PaperWorld(), story)


def test_a_password_that_nobody_saw_is_typed_twice() -> None:
    world = PaperWorld()

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await through(app, pilot, site="zurich")
        await enter(app, pilot, "a-long-password")
        await enter(app, pilot, "a-lnog-password")
        assert app.stage == "secret"
        assert shows(app, "said") == "the two are not the same; type it again"
        assert app.query_one("#input", Input).value == "", "neither of the two is kept"
        for _ in range(2):
            await enter(app, pilot, "a-long-password")
        assert app.stage == "review"
        # Going back loses nothing, and what was typed twice is not asked again.
        await pilot.press("escape")
        await settled(app, pilot)
        assert app.stage == "secret" and app.query_one("#input", Input).password
        await enter(app, pilot)
        assert app.stage == "review" and app.secret == "a-long-password"
        # An empty one is asked about once more, where no administrator comes by ssh.
        await pilot.press("escape")
        await settled(app, pilot)
        await enter(app, pilot, "")
        assert app.stage == "secret" and "nobody can log in to this box" in shows(app, "said")
        await enter(app, pilot)
        assert app.stage == "review" and app.secret == ""

    played(world, story)


def test_a_pair_is_offered_dhcp_too_and_the_second_box_asks_for_the_code() -> None:
    world = PaperWorld()

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await enter(app, pilot, "first")
        for answer in ("zurich", "alpha", "enp1s0"):
            await enter(app, pilot, answer)
        assert list(app.talk.choices()) == ["dhcp", "static", "pppoe"]
        for _ in range(4):
            await pilot.press("escape")
        await settled(app, pilot)
        await enter(app, pilot, "second")
        await enter(app, pilot, "417-2930-5586")
        for _ in range(2):
            await enter(app, pilot, "a-long-password")
        assert "does not take this code" in shows(app, "said")
        assert app.talk.question and app.talk.question.key == "code"
        await enter(app, pilot, world.invited)
        assert app.stage == "secret"
        await enter(app, pilot)
        assert app.stage == "done" and "this is bravo of zurich now" in shows(app, "long")
        assert world.done == ["password", "join", "finish"]

    played(world, story)


def test_a_key_comes_from_a_stick() -> None:
    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        while app.talk.question and app.talk.question.key != "admin_key":
            await enter(app, pilot, "anna" if app.talk.question.key == "admin" else None)
        await pilot.press("f2")
        await pilot.pause(0.1)
        assert app.query_one("#input", Input).value == f"{KEY} anna@laptop"
        assert "from anna.pub" in shows(app, "said")

    played(PaperWorld(), story)


@pytest.mark.parametrize("ends", ["refused", "taken back", "gone"])
def test_what_does_not_run_leads_back_to_the_answers(ends: str) -> None:
    world = PaperWorld()
    world.refuses = "enp1s0 does not exist" if ends == "refused" else ""

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await through(app, pilot, site="zurich")
        for _ in range(3):
            await enter(app, pilot)
        if ends == "taken back":
            await pilot.press("escape")
        elif ends == "gone":
            world.stands = "gone"
            await pilot.pause(0.8)
        await settled(app, pilot)
        assert app.stage == "review"
        assert shows(app, "said")
        await pilot.press("escape")
        await settled(app, pilot)
        assert app.stage == "secret"
        assert world.answers["site"] == "zurich"
        assert ("undo" in world.done) == (ends == "gone")

    played(world, story)


def test_a_password_that_is_refused_can_be_left_away() -> None:
    world = PaperWorld()
    world.takes_passwords = False

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await through(app, pilot, site="zurich")
        for text in ("a-long-password", "a-long-password", None, None):
            await enter(app, pilot, text)
        assert app.stage == "trial" and "the password was not taken" in shows(app, "said")
        await enter(app, pilot)
        assert app.stage == "done" and world.done == ["apply", "confirm", "finish"]

    played(world, story)


def test_who_came_by_ssh_confirms_in_another_session() -> None:
    """Only a new login shows that the box can still be reached."""
    world = PaperWorld()
    world.by_ssh = True

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await through(app, pilot, site="zurich", admin="anna", admin_key=f"{KEY} anna@laptop")
        for text in ("a-long-password", "a-long-password", None):
            await enter(app, pilot, text)
        assert app.stage == "trial" and "log in anew" in shows(app, "long")
        await enter(app, pilot)
        assert app.stage == "trial" and "confirm" not in world.done
        world.stands = "confirmed"
        await done(app, pilot)
        assert world.done == ["apply", "finish", "password"]

    played(world, story)


def test_a_card_that_comes_while_it_is_asked_for() -> None:
    """A box with one card, and an adapter for the office."""
    world = PaperWorld()
    world.cards_in = ("enp1s0",)

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        while app.talk.question and app.talk.question.key != "lan":
            await enter(app, pilot)
        assert not app.talk.choices()
        world.cards_in = ("enp1s0", "enx1")
        for _ in range(100):
            await pilot.pause(0.05)
            if app.query("#options"):
                break
        await enter(app, pilot, "enx1")
        assert app.talk.question and app.talk.question.key == "lan_address"
        # And one that goes again, with all that was offered.
        await pilot.press("escape")
        await settled(app, pilot)
        world.cards_in = ("enp1s0",)
        await pilot.pause(0.8)
        assert app.stage == "ask" and not app.query("#options")

    played(world, story)


def test_what_was_not_tried_yet_is_asked_again_after_a_power_cut() -> None:
    world = PaperWorld()
    world.gives = ""

    async def first(app: SetupApp, pilot: Pilot[int]) -> None:
        for answer in (None, "zurich", None, None, "dhcp"):
            await enter(app, pilot, answer)
        assert app.talk.question and app.talk.question.key == "how" and "Enter: go on" in shows(app, "said")

    async def second(app: SetupApp, pilot: Pilot[int]) -> None:
        assert app.talk.question and app.talk.question.key == "how"
        world.gives = "192.168.10.7/24"
        await enter(app, pilot, "dhcp")
        assert app.talk.question.key == "lan"

    async def third(app: SetupApp, pilot: Pilot[int]) -> None:
        await enter(app, pilot)
        # The provider's router has the network that would be offered otherwise, and nobody may choose it either.
        assert app.talk.offered == "192.168.110.1/24"
        await enter(app, pilot, "192.168.10.1/24")
        assert "the network between this box and the provider's router" in shows(app, "said")

    for story in (first, second, third):
        played(world, story)


def test_a_box_that_serves_an_office_keeps_its_name() -> None:
    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await enter(app, pilot, "first")
        await enter(app, pilot, "zurich")
        assert app.talk.offered == "bravo"
        await enter(app, pilot, "alpha")
        assert "this box serves an office as bravo" in shows(app, "said")
        await enter(app, pilot, "bravo")
        while app.talk.question and app.talk.question.key != "partner":
            await enter(app, pilot)
        assert app.talk.offered == "alpha"

    played(PaperWorld(named="bravo"), story)


ANSWERED = {
    "pair": "alone", "site": "zurich", "box": "alpha", "uplink": "enp1s0", "how": "dhcp", "lan": "enp2s0",
    "lan_address": "192.168.10.1/24", "tunnel": "vpn", "port": "51820", "tunnel_address": "10.120.0.1/24",
    "reached_at": "office.example.net", "admin": "none", "signer": "none", "next": "colleague", "peer": "anna-phone",
}  # fmt: skip
"""Every question, so that the wizard begins behind the last one."""
BRANCH = {**ANSWERED, "next": "site", "peer": "basel", "peer_networks": "192.168.30.0/24"}


async def _kept(app: SetupApp, pilot: Pilot[int]) -> None:
    """All that follows the questions, until it is kept."""
    for text in ("a-long-password", "a-long-password", None, None):
        await enter(app, pilot, text)


def test_the_first_colleague_gets_a_code_where_the_screen_has_room() -> None:
    world = PaperWorld(ANSWERED)

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await _kept(app, pilot)
        assert app.stage == "code" and "anna-phone connects by this" in shows(app, "title")
        code = app.query_one("#code", Static)
        assert code.region.bottom <= 45 and code.region.height * 2 >= code.region.width - 4 > 40, "all of it is seen"
        await pilot.press("escape")
        assert app.stage == "code", "it is shown once"
        await enter(app, pilot)
        assert app.stage == "done" and "whether anna-phone has come" in shows(app, "long")
        assert not shows(app, "code"), "and then no more"
        assert world.done == ["apply", "password", "confirm", "finish", "first peer"]

    played(world, story, lines=45)


@pytest.mark.parametrize("what", ["colleague", "site"])
def test_where_no_code_can_be_shown_a_stick_takes_the_file(what: str) -> None:
    world = PaperWorld({**ANSWERED, "peer": "basel"} if what == "colleague" else BRANCH)
    world.stick_in = False

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await _kept(app, pilot)
        assert app.stage == "stick" and "appliance peer add basel" in shows(app, "long")
        await pilot.press("f2")
        await settled(app, pilot)
        assert app.stage == "stick" and "put one in" in shows(app, "said")
        world.stick_in = True
        await pilot.press("f2")
        await settled(app, pilot)
        assert app.stage == "done" and "basel.conf written" in shows(app, "long")
        assert world.done[-1] == "first peer to a stick"

    played(world, story)


@pytest.mark.parametrize("perhaps", [False, True])
def test_what_went_wrong_at_the_end_is_all_said(perhaps: bool) -> None:
    """And whoever may be a peer all the same is not to be made once more."""
    world = PaperWorld(ANSWERED)
    world.by_ssh, world.takes_passwords = True, False
    world.not_brought_in = Uncertain("the supervisor went away") if perhaps else Failure("the disk is full")

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        for text in ("a-long-password", "a-long-password", None):
            await enter(app, pilot, text)
        world.stands = "confirmed"
        await done(app, pilot)
        said = shows(app, "said")
        assert "the password was not taken" in said and f"anna-phone: {world.not_brought_in}" in said
        assert ("peer add anna-phone" in shows(app, "long")) != perhaps

    played(world, story, lines=45)


def test_a_first_peer_may_come_later() -> None:
    world = PaperWorld(ANSWERED)

    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        await _kept(app, pilot)
        assert app.stage == "stick"
        await enter(app, pilot)
        assert app.stage == "done" and "appliance peer add anna-phone" in shows(app, "long")

    played(world, story)


def test_a_first_peer_is_what_the_file_takes() -> None:
    async def story(app: SetupApp, pilot: Pilot[int]) -> None:
        assert app.talk.question and app.talk.question.key == "peer"
        await enter(app, pilot, "Basel Nord")
        assert "is not a name" in shows(app, "said")
        await enter(app, pilot, "basel")
        assert app.talk.question and app.talk.question.key == "peer_networks"
        await enter(app, pilot, "192.168.10.0/24")
        assert "192.168.10.0/24" in shows(app, "said") and app.talk.question.key == "peer_networks"
        await enter(app, pilot, "192.168.30.0/24 192.168.31.0/24")
        assert app.stage == "secret"

    played(PaperWorld({key: BRANCH[key] for key in BRANCH if not key.startswith("peer")}), story)
