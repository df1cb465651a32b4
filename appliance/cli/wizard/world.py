"""All that the screens do to the box, in one place: the same check → plan → apply → confirm as every other verb."""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Iterator
from ipaddress import ip_interface
from typing import Any

from appliance.cli import session
from appliance.cli.client import Refusal, ask, file_request
from appliance.cli.failure import Failure, sentence
from appliance.core.setup import first_peer
from appliance.core.setup.outside import leads_here
from appliance.core.setup.render import NONE
from appliance.core.setup.seen import Answers, Card
from appliance.shell import setting_up, sticks
from appliance.shell.paths import Paths

TRIAL_SECONDS = 300.0
_LONGEST_STEM = 15
"""Letters of a file's name from which wg-quick and the WireGuard apps name an interface (IFNAMSIZ)."""


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """What the machine refuses becomes the sentence that a screen shows."""
    try:
        yield
    except (setting_up.Refused, OSError) as error:
        raise Failure(sentence(error)) from None


class World:
    """Every method may take seconds, and raises Failure with one sentence; the screens call them from a thread."""

    def __init__(self, options: argparse.Namespace, named: str = "") -> None:
        self.options = options
        self.named = named
        """What this box is called, "" where it serves nobody yet."""
        self.paths = Paths(options.root)
        self.number: int | None = None
        """Of the generation on trial."""
        self.ledger = setting_up.Ledger()
        self.by_ssh = session.administrator() is not None

    def cards(self) -> tuple[Card, ...]:
        return setting_up.cards()

    def kept(self) -> tuple[Answers, str]:
        """The answers of before a power cut, and what the uplink was offered when it was tried."""
        return setting_up.kept_answers(self.paths)

    def keep(self, answers: Answers, offered: str) -> None:
        with _said():
            setting_up.keep_answers(self.paths, answers, offered)

    def try_dhcp(self, device: str) -> str:
        with _said():
            return setting_up.try_dhcp(device)

    def hears_pppoe(self, device: str) -> bool:
        return setting_up.hears_pppoe(device)

    def try_pppoe(self, device: str, user: str, password: str) -> tuple[str, str]:
        with _said():
            return setting_up.try_pppoe(device, user, password)

    def try_gateway(self, device: str, address: str, gateway: str) -> bool:
        return setting_up.try_gateway(device, address, gateway)

    def sticks(self) -> dict[str, str]:
        return sticks.keys_on_sticks()

    def plan(self, answers: Answers, text: str) -> dict[str, Any]:
        """Raises Failure, and leaves all as it was, where nothing could come of it."""
        self._prepare(answers)
        return self._sound(ask(self.options, file_request("plan", text.encode())))

    def apply(self, answers: Answers, text: str) -> dict[str, Any]:
        """Begins the trial; it ends by confirm(), by give_back(), or by itself."""
        answer = self._sound(self.attempt(answers, text, {"within": TRIAL_SECONDS}))
        self.number = answer["trial"]["generation"] if answer["trial"] else None
        # Now and not at the end: it may be confirmed in a session that outlives this one.
        self.put(text)
        return answer

    def attempt(self, answers: Answers, text: str, how: dict[str, Any]) -> dict[str, Any]:
        """The answer to `apply`; what is not taken leaves nothing."""
        self._prepare(answers)
        request = {**file_request("apply", text.encode()), **how, "origin": session.caller()}
        try:
            return ask(self.options, {**request, "administrator": session.administrator()})
        except Refusal:
            self.undo()
            raise
        except Failure:
            # It may run all the same, and what it presupposes must be there.
            self.ledger = setting_up.Ledger()
            raise

    def put(self, text: str) -> None:
        """Lays the result where the administrator finds it."""
        with _said(), self.ledger.writing(self.paths.configuration):
            setting_up.put_file(self.paths, text)

    def undo(self) -> None:
        """Takes back what was written for a configuration that this box does not run."""
        with _said():
            self.ledger.undo()

    def outside(self, answers: Answers) -> str:
        """Whether the place at which peers are to find the tunnel leads here; asked while the configuration runs."""
        status = ask(self.options, {"verb": "status"})["status"]
        found = [ip_interface(each).ip for uplink in status["uplinks"] for each in uplink["addresses"]]
        own = [str(each) for each in found if not each.is_link_local]
        return leads_here(answers, setting_up.addresses_of(answers.get("reached_at", NONE)), own)

    def confirm(self) -> None:
        """A person on the console has not lost the box, whatever became of its network; over ssh only a new session
        shows that, and there the wizard waits for `appliance confirm`."""
        opened = time.clock_gettime(time.CLOCK_BOOTTIME)
        ask(self.options, {"verb": "confirm", "opened": opened, "who": session.caller()})

    def standing(self) -> str:
        """trial, confirmed or gone: what has become of what was applied."""
        status = ask(self.options, {"verb": "status"})["status"]
        if status["trial"]:
            return "trial"
        return "confirmed" if status["generation"] == self.number else "gone"

    def give_back(self) -> None:
        ask(self.options, {"verb": "rollback", "generation": None, "origin": session.caller(), "within": 90.0})
        self.undo()

    def join(self, code: str) -> str:
        from appliance.cli.pair import join_by_code

        return join_by_code(argparse.Namespace(root=self.options.root, code=code, replace=self.options.replace))

    def password(self, text: str) -> None:
        with _said():
            setting_up.set_console_password(self.paths, text)

    def recipient(self) -> str:
        """The age key to which secrets for this box are sealed."""
        return str(ask(self.options, {"verb": "status"})["status"]["bundles"]["age_recipient"])

    def first_peer(self, answers: Answers, room: tuple[int, int]) -> list[str]:
        """Makes it a peer, and returns its QR code, which nobody shows a second time. Raises NoRoom where `room`
        (columns, lines) is too small for one; then nothing is done."""
        with _said():
            return self._bring_in(answers, room)

    def first_peer_to_stick(self, answers: Answers) -> list[str]:
        """Makes it a peer, and returns the names of the files for its device on a USB stick."""
        name = answers["peer"][:_LONGEST_STEM]
        with _said(), sticks.writable_stick() as folder:
            files = [("--conf", folder / f"{name}.conf")]
            if answers["next"] != first_peer.SITE:
                files.append(("--png", folder / f"{name}.png"))
            self._bring_in(answers, None, *(str(each) for pair in files for each in pair))
        return [path.name for _, path in files]

    def hand_out_first_peer(self, answers: Answers, file: str) -> None:
        """Makes it a peer, as the command does: what its device is given goes to `file`."""
        # It loads segno, for which no screen before is to wait.
        from appliance.cli.peer_add import add

        add(self._peer_options(answers, "--conf", file))

    def _bring_in(self, answers: Answers, room: tuple[int, int] | None, *more: str) -> list[str]:
        from appliance.cli.peer_add import bring_in

        # The plan is no screen's business.
        with contextlib.redirect_stdout(io.StringIO()):
            return bring_in(self._peer_options(answers, *more), room)[0].code

    def _peer_options(self, answers: Answers, *more: str) -> argparse.Namespace:
        from appliance.cli import peer

        parser = argparse.ArgumentParser()
        peer.add_arguments(parser)
        words = [*first_peer.words(answers)[1:], *more, "--confirm", "auto"]
        return parser.parse_args(words, argparse.Namespace(**vars(self.options)))

    def finish(self) -> None:
        """It is kept: the answers are no longer needed, and nothing is to be taken back."""
        self.ledger = setting_up.Ledger()
        with _said():
            setting_up.forget_answers(self.paths)

    def _prepare(self, answers: Answers) -> None:
        """What the file presupposes: which of its boxes this one is, and the password that it names."""
        now = str(ask(self.options, {"verb": "status"})["status"]["box"] or "")
        if now != self.named:
            raise Failure(f"this box was set up as {now} meanwhile, by another session or a bundle")
        with _said(), self.ledger.writing(self.paths.box, setting_up.provider_file(self.paths)):
            setting_up.name_box(self.paths, answers, self.named)
            setting_up.keep_password(self.paths, answers)

    def _sound(self, answer: dict[str, Any]) -> dict[str, Any]:
        if problems := answer.get("problems"):
            self.undo()
            raise Failure(str(problems[0]["message"]))
        return answer
