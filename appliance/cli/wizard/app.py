"""The wizard on a terminal: 80x24, 16 colours, no mouse; the Linux console, a serial line, ssh."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from appliance.cli.failure import Failure, NoRoom, Uncertain
from appliance.cli.wizard.closing import next_steps
from appliance.cli.wizard.style import CSS
from appliance.cli.wizard.world import World
from appliance.core.setup import first_peer
from appliance.core.setup.conversation import Conversation
from appliance.core.setup.questions import CABLE, KEY, PASSWORD, PPP_PASSWORD, SECOND
from appliance.core.setup.render import NONE
from appliance.core.setup.seen import Card, Seen, pulled

ASK, SECRET, REPEAT, REVIEW, BUSY, TRIAL, DONE = "ask", "secret", "repeat", "review", "busy", "trial", "done"
CODE, STICK = "code", "stick"
LOOK_SECONDS = 0.5
_AROUND = 4, 9
"""Columns and lines that the page around a QR code takes."""
_REVIEW = (
    "This is your appliance.yaml",
    "Arrows scroll; below it stands what the box will do.",
    "Enter try it   Esc back   F10 leave",
)


class SetupApp(App[int]):
    CSS = CSS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [  # noqa: RUF012
        Binding("escape", "back", priority=True),
        Binding("enter", "onward"),
        Binding("f2", "stick", priority=True),
        Binding("f10,ctrl+q", "leave", priority=True),
    ]

    def __init__(self, world: World) -> None:
        super().__init__(ansi_color=True)
        # Nothing moves by itself: a serial line carries 11 kB/s.
        self.animation_level = "none"
        self.world = world
        cards = world.cards()
        answers, offered = world.kept()
        self.talk = Conversation(answers, Seen(cards, offered, world.named))
        self.stage = ASK
        self.watched: tuple[Card, ...] = cards
        self.untried = ""
        """The question whose answer was tried without success, or warned of: a second Enter goes on all the same."""
        self.opened = ""
        self.secret = self.typed = ""
        """The password of the console; and what was typed once, and is to be typed once more."""
        self.password_set = ""
        self.recipient = ""
        """The age key that is said at the end."""
        self.troubles: list[str] = []
        """What is to be said at the end, too."""

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="title", markup=False)
        yield Static(id="about", markup=False)
        yield Vertical(id="field")
        yield VerticalScroll(Static(id="long", markup=False), id="text")
        yield Static(id="code", markup=False)
        yield Static(id="said", markup=False)
        yield Static(id="keys", markup=False)

    async def on_mount(self) -> None:
        await self.draw()
        self.set_interval(LOOK_SECONDS, self.look)

    # -- what is shown ------------------------------------------------------------------------------------------------

    async def draw(self) -> None:
        """The screen of the stage that the conversation has come to."""
        if self.stage == ASK and self.talk.question is None:
            self.stage = SECRET
        if self.stage == ASK:
            await self.ask_question()
        elif self.stage == SECRET:
            await self.page("A password for this screen?", "For user admin, on the box's own screen and serial line "
                            "only; ssh never takes one. Empty: nobody logs in here.", "Enter next   Esc back",
                            Input(self.secret, password=True, id="input"))  # fmt: skip
        elif self.stage == REPEAT:
            await self.page("The same password once more", "Nobody sees what is typed here, and without it nobody "
                            "logs in here.", "Enter next   Esc back", Input(password=True, id="input"))  # fmt: skip

    async def ask_question(self) -> None:
        question = self.talk.question
        assert question is not None
        choices = self.talk.choices()
        keys = "Enter next   Esc back" + ("   F2 from a USB stick" if question.kind == KEY else "") + "   F10 leave"
        self.opened = offered = self.talk.offered
        hidden = question.kind == PASSWORD
        field: Input | OptionList = Input(offered, password=hidden, id="input", select_on_focus=False)
        if choices:
            field = OptionList(*[Option(f"{key:<9} {said}", id=key) for key, said in choices.items()], id="options")
            field.highlighted = list(choices).index(offered) if offered in choices else 0
        await self.page(question.title, question.about, keys, field)
        self.check_live(self.entered)

    async def page(self, title: str, about: str, keys: str, field: Input | OptionList | None, text: str = "") -> None:
        total = len(self.talk.path)
        where = f"{min(self.talk.position + 1, total)} of {total}" if self.stage == ASK else self.stage
        self.query_one("#head", Static).update(f"Setting up this box                {where}")
        self.query_one("#title", Static).update(title)
        self.query_one("#about", Static).update(about)
        self.query_one("#keys", Static).update(keys)
        holder = self.query_one("#field", Vertical)
        await holder.remove_children()
        holder.display = field is not None
        scroll = self.query_one("#text", VerticalScroll)
        scroll.display = bool(text)
        self.query_one("#long", Static).update(text)
        code = self.query_one("#code", Static)
        code.display = False
        code.update("")
        self.say("")
        if field is not None:
            await holder.mount(field)
            # At once, and not when its turn comes: what is typed meanwhile would be lost.
            self.screen.set_focus(field)
        elif text:
            scroll.scroll_home(animate=False, immediate=True)
            self.screen.set_focus(scroll)

    async def busy(self, what: str) -> None:
        self.stage = BUSY
        await self.page("One moment", what, "", None)

    def say(self, text: str, good: bool = False) -> None:
        said = self.query_one("#said", Static)
        said.update(text)
        said.set_classes("good" if good else "bad")

    @property
    def field(self) -> Input | OptionList | None:
        """None between two screens."""
        found = self.query("#options, #input")
        return found.first() if found else None  # type: ignore[return-value]

    @property
    def entered(self) -> str:
        field = self.field
        if isinstance(field, OptionList):
            position = field.highlighted
            return str(field.get_option_at_index(position).id) if position is not None else ""
        return field.value.strip() if field else ""

    def on_input_changed(self, event: Input.Changed) -> None:
        # A field that opens reports its first value as a change; what was just said stays until a key is pressed.
        if self.stage == ASK and event.value != self.opened:
            self.untried = self.opened = ""
            self.check_live(event.value.strip())

    # Enter goes the way of all other keys, through the field: with a way of its own it would overtake what was pasted
    # just before it.
    async def on_input_submitted(self) -> None:
        await self.action_onward()

    async def on_option_list_option_selected(self) -> None:
        await self.action_onward()

    def check_live(self, text: str) -> None:
        wrong = self.talk.wrong(text) if text else ""
        self.say(wrong or ("" if not text or self.query("#options") else "good"), good=not wrong)

    # -- what a person does -------------------------------------------------------------------------------------------

    async def action_onward(self) -> None:
        if self.stage == ASK:
            text = self.entered
            if wrong := self.talk.wrong(text):
                self.say(wrong)
                return
            await self.answered(text)
        elif self.stage == SECRET:
            await self.password_typed(self.query_one("#input", Input).value)
        elif self.stage == REPEAT:
            await self.password_repeated(self.query_one("#input", Input).value)
        elif self.stage == REVIEW:
            await self.busy("The box tries it, and reads everything back.")
            self.apply()
        elif self.stage == TRIAL and not self.world.by_ssh:
            # Before it is kept: once it is, nobody is asked again.
            if trouble := await self.set_password():
                self.secret = ""
                self.say(f"{trouble}: Enter keeps all but it, Esc takes all back")
                return
            await self.busy("Kept.")
            self.confirm()
        elif self.stage == CODE:
            await self.show_end(brought_in=True)
        elif self.stage == STICK:
            await self.show_end()
        elif self.stage == DONE:
            self.exit(0)

    async def answered(self, text: str) -> None:
        question = self.talk.question
        assert question is not None
        self.talk.answer(text)
        whole = self.talk.whole
        if self.untried != question.key and (question.key, text) == ("how", "dhcp"):
            await self.busy("The box asks the provider's router for an address.")
            self.try_dhcp(whole["uplink"])
        elif self.untried != question.key and question.key == PPP_PASSWORD:
            await self.busy("The box dials. That takes up to half a minute.")
            self.try_pppoe(whole["uplink"], whole["ppp_user"], text)
        elif self.untried != question.key and question.key == "gateway":
            await self.busy("The box asks for the provider's router.")
            self.try_gateway(whole["uplink"], whole["address"], whole["gateway"])
        else:
            self.keep()
            await self.next_question()

    async def password_typed(self, text: str) -> None:
        if text and text != self.secret:
            self.typed, self.stage = text, REPEAT
            await self.draw()
        elif not text and self.talk.whole.get("admin") == NONE and self.untried != SECRET:
            self.untried = SECRET
            self.say("then nobody can log in to this box, here or by ssh. Enter: so be it")
        else:
            self.secret = text
            await self.all_answered()

    async def password_repeated(self, text: str) -> None:
        if text != self.typed:
            await self.failed("the two are not the same; type it again", SECRET)
        else:
            self.secret = text
            await self.all_answered()

    async def all_answered(self) -> None:
        if self.talk.whole["pair"] == SECOND:
            await self.busy("This box joins the first one; that takes up to a minute.")
            self.join()
        else:
            await self.busy("The box works out what is to be done.")
            self.review()

    async def next_question(self) -> None:
        self.stage, self.untried = ASK, ""
        self.talk.forward()
        self.watched = self.talk.seen.cards
        await self.draw()

    async def action_back(self) -> None:
        if self.stage in (BUSY, CODE, STICK, DONE):
            return
        if self.stage == TRIAL:
            await self.busy("What was tried is taken back.")
            self.give_back()
            return
        if self.stage == ASK and self.entered and not self.talk.wrong(self.entered):
            self.talk.answer(self.entered)
            self.keep()
        self.stage = SECRET if self.stage in (REPEAT, REVIEW) else ASK
        if self.stage == ASK:
            self.talk.back()
        await self.draw()

    def action_leave(self) -> None:
        """The answers are kept: the wizard goes on here when it is called again."""
        if self.stage in (ASK, SECRET, REPEAT, REVIEW):
            with contextlib.suppress(Failure):
                self.world.undo()
            self.exit(1)

    def action_stick(self) -> None:
        question = self.talk.question
        if self.stage == ASK and question and question.kind == KEY:
            self.say("looking for a stick...", good=True)
            self.read_stick()
        elif self.stage == STICK:
            self.write_stick()

    def keep(self) -> None:
        try:
            self.world.keep(self.talk.answers, self.talk.seen.offered)
        except Failure as failure:
            self.say(str(failure))

    # -- what takes a while, beside the screen ------------------------------------------------------------------------

    async def look(self) -> None:
        """Watches the cables while they are asked for: the one that is pulled is the one that is meant."""
        question = self.talk.question
        if self.stage != ASK or question is None or question.kind != CABLE:
            return
        now = self.world.cards()
        if now == self.talk.seen.cards:
            return
        options = self.field
        if options is None:
            return  # the question is only being drawn
        self.talk.seen = replace(self.talk.seen, cards=now)
        gone = pulled(self.watched, now)
        keys = list(self.talk.choices())
        if not keys or not isinstance(options, OptionList):
            # The only card came, or went.
            await self.ask_question()
            return
        marked = gone if gone in keys else self.entered
        options.clear_options()
        options.add_options([Option(f"{key:<9} {said}", id=key) for key, said in self.talk.choices().items()])
        options.highlighted = keys.index(marked) if marked in keys else 0
        if gone in keys:
            self.say(f"{gone} lost its cable: it is this one. Put it in again, then Enter.", good=True)

    @work(exclusive=True)
    async def try_dhcp(self, device: str) -> None:
        nobody = "no router gave an address: is the cable in, is the modem on?"
        try:
            given = await asyncio.to_thread(self.world.try_dhcp, device)
        except Failure as failure:
            given, nobody = "", f"{failure}."
        if not given and await asyncio.to_thread(self.world.hears_pppoe, device):
            self.talk.answer("pppoe")
            await self.tried("", "No router gave an address; a provider answers by PPPoE.", instead="take that")
        else:
            await self.tried(f"{given} was given" if given else "", nobody, given)

    @work(exclusive=True)
    async def try_pppoe(self, device: str, user: str, password: str) -> None:
        try:
            given, why = await asyncio.to_thread(self.world.try_pppoe, device, user, password)
        except Failure as failure:
            given, why = "", str(failure)
        await self.tried(f"{given} was given" if given else "", f"{why}.", given)

    @work(exclusive=True)
    async def try_gateway(self, device: str, address: str, gateway: str) -> None:
        there = await asyncio.to_thread(self.world.try_gateway, device, address, gateway)
        await self.tried(f"{gateway} answers" if there else "", f"{gateway} does not answer: is it right?")

    async def tried(self, good: str, bad: str, given: str = "", instead: str = "") -> None:
        """An address that could not be had today may be right all the same; that is for the person to say. `instead` is
        what Enter does where another answer is marked."""
        self.stage = ASK
        self.talk.seen = replace(self.talk.seen, cards=self.world.cards(), offered=given)
        question = self.talk.question
        if good:
            self.keep()
            await self.next_question()
            self.say(good, good=True)
        elif question:
            await self.ask_question()
            self.untried = question.key
            self.say(f"{bad} Enter: {instead or 'go on all the same'}")

    @work(exclusive=True)
    async def read_stick(self) -> None:
        question = self.talk.question
        found = list((await asyncio.to_thread(self.world.sticks)).items())
        field = self.field
        if self.stage != ASK or self.talk.question is not question or not isinstance(field, Input):
            return  # the person went on meanwhile
        if not found:
            self.say("no stick with a .pub file is found; put it in, and F2 once more")
            return
        now = self.entered
        position = next((number for number, (_, text) in enumerate(found) if text == now), -1)
        name, text = found[(position + 1) % len(found)]
        with field.prevent(Input.Changed):
            field.value = text
        wrong = self.talk.wrong(text)
        more = f"; F2: the next of {len(found)}" if len(found) > 1 else ""
        self.say(wrong or f"from {name}{more}", good=not wrong)

    @work(exclusive=True)
    async def review(self) -> None:
        try:
            plan = await asyncio.to_thread(self.world.plan, self.talk.whole, self.talk.text)
        except Failure as failure:
            await self.failed(str(failure), SECRET)
            return
        self.stage = REVIEW
        steps = [f"{number:3}. {step['text']}" for number, step in enumerate(plan["steps"], 1)]
        text = "\n".join([self.talk.text, "What the box will do:", *steps])
        await self.page(*_REVIEW, None, text)

    @work(exclusive=True)
    async def apply(self) -> None:
        try:
            answer = await asyncio.to_thread(self.world.apply, self.talk.whole, self.talk.text)
        except Failure as failure:
            await self.failed(str(failure), REVIEW)
            return
        trial = answer["trial"]
        if trial is None:  # it is what runs already
            await self.finish()
            return
        try:
            outside = await asyncio.to_thread(self.world.outside, self.talk.whole)
        except Failure:
            outside = ""  # a question less, and no reason to stop
        self.stage = TRIAL
        lan = self.talk.whole["lan_address"].split("/")[0]
        lines = [f"works: {fact}" for fact in trial["works"]]
        lines += [f"not seen yet: {fact}" for fact in trial["not_seen_yet"]]
        lines += [f"note: {each}" for each in answer["warnings"]]
        if outside:
            lines.append(f"from outside: {outside}")
        lines.append(f"Try it from a computer in the office: gateway {lan}. Does a web page open?")
        if self.world.by_ssh:
            lines.append("You came by ssh: log in anew, and call `sudo appliance confirm` there.")
        minutes = trial["seconds_left"] / 60
        about = f"Not kept within {minutes:.0f} minutes, all of it is taken back by itself."
        keys = "Esc take it back" if self.world.by_ssh else "Enter it works, keep it   Esc take it back"
        await self.page("It runs, on trial", about, keys, None, "\n".join(lines))
        self.watch_trial()

    @work(group="trial", exclusive=True)
    async def watch_trial(self) -> None:
        """A trial may end without this screen: by its deadline, or by `appliance confirm` in another session."""
        while self.stage == TRIAL:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                standing = await asyncio.to_thread(self.world.standing)
            except Failure:
                continue
            if self.stage == TRIAL and standing == "confirmed":
                await self.busy("Kept.")
                await self.finish()
            elif self.stage == TRIAL and standing == "gone":
                with contextlib.suppress(Failure):
                    self.world.undo()
                await self.failed("it was not kept in time, and is taken back; Enter tries it again", REVIEW)

    @work(exclusive=True)
    async def confirm(self) -> None:
        try:
            await asyncio.to_thread(self.world.confirm)
        except Failure as failure:
            await self.failed(str(failure), REVIEW)
            return
        await self.finish()

    async def finish(self) -> None:
        try:
            self.recipient = await asyncio.to_thread(self.world.recipient)
            await asyncio.to_thread(self.world.finish)
        except Failure as failure:
            self.troubles.append(str(failure))
        if trouble := await self.set_password():
            self.troubles.append(trouble)
        if first_peer.named(self.talk.whole):
            await self.bring_in()
        else:
            await self.show_end()

    async def bring_in(self) -> None:
        """The first colleague or branch, by what this screen can show."""
        answers = self.talk.whole
        if answers["next"] == first_peer.SITE:
            await self.offer_stick("Its file holds a key that nobody may see.")
            return
        try:
            room = self.size.width - _AROUND[0], self.size.height - _AROUND[1]
            code = await asyncio.to_thread(self.world.first_peer, answers, room)
        except NoRoom:
            await self.offer_stick("This screen is too small for a QR code.")
            return
        except Failure as failure:
            await self.not_brought_in(failure)
            return
        self.stage = CODE
        about = "The phone's WireGuard app reads it. It is shown this once, and the box does not keep it."
        await self.page(f"{answers['peer']} connects by this", about, "Enter it is read", None)
        self.query_one("#code", Static).update(Text("\n".join(code), style="black on bright_white", no_wrap=True))
        self.query_one("#code", Static).display = True

    async def offer_stick(self, why: str) -> None:
        self.stage = STICK
        name, later = self.talk.whole["peer"], " ".join(first_peer.words(self.talk.whole))
        text = f"Put a USB stick in, and F2: what {name} needs is written to it.\n\nOr later: sudo appliance {later}"
        await self.page(f"{name} gets its keys", why, "F2 write to a USB stick   Enter later", None, text)

    @work(exclusive=True)
    async def write_stick(self) -> None:
        await self.busy("The keys are made, and written to the stick.")
        try:
            names = await asyncio.to_thread(self.world.first_peer_to_stick, self.talk.whole)
        except Uncertain as failure:
            await self.not_brought_in(failure)
            return
        except Failure as failure:
            await self.offer_stick("")
            self.say(str(failure))
            return
        written = f"{' and '.join(names)} written: take the stick out, and keep it from others"
        await self.show_end(brought_in=True, first=[written])

    async def not_brought_in(self, failure: Failure) -> None:
        self.troubles.append(f"{self.talk.whole['peer']}: {failure}")
        # Where it may be a peer all the same, making it once more would be refused.
        await self.show_end(brought_in=isinstance(failure, Uncertain))

    async def set_password(self) -> str:
        """Why the console's password could not be set, "" when it is, or when none is wanted."""
        try:
            if self.secret and self.secret != self.password_set:
                await asyncio.to_thread(self.world.password, self.secret)
                self.password_set = self.secret
        except Failure as failure:
            return str(failure)
        return ""

    @work(exclusive=True)
    async def join(self) -> None:
        if trouble := await self.set_password():
            self.secret = ""
            await self.failed(trouble, SECRET)
            return
        try:
            said = await asyncio.to_thread(self.world.join, self.talk.whole["code"])
            await asyncio.to_thread(self.world.finish)
        except Failure as failure:
            self.talk.back()
            await self.failed(str(failure), ASK)
            return
        await self.show_lines([said])

    @work(exclusive=True)
    async def give_back(self) -> None:
        said = "it is taken back; Enter tries it again, Esc changes the answers"
        try:
            await asyncio.to_thread(self.world.give_back)
        except Failure as failure:
            said = str(failure)
        await self.failed(said, REVIEW)

    async def failed(self, why: str, stage: str) -> None:
        """Back to where the person can change it, with the sentence that says what."""
        self.stage = stage
        if stage == REVIEW:
            await self.page(*_REVIEW, None, self.talk.text)
        else:
            await self.draw()
        self.say(why)

    async def show_end(self, brought_in: bool = False, first: Sequence[str] = ()) -> None:
        await self.show_lines([*first, *next_steps(self.talk.whole, self.recipient, brought_in)])

    async def show_lines(self, lines: list[str]) -> None:
        self.stage = DONE
        text = "\n".join(f"- {line}" for line in lines)
        await self.page("The box is set up", "What comes next:", "Enter end", None, text)
        if self.troubles:
            self.say("; ".join(self.troubles))


def converse(options: argparse.Namespace, named: str) -> int:
    """Runs the wizard on this terminal; its exit code."""
    return SetupApp(World(options, named)).run(mouse=False) or 0
