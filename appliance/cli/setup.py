"""The wizard: from a new box to an office that is online, in ten minutes, on its screen, its serial line or over ssh.
It asks, shows the appliance.yaml that follows and what it will do, tries it, and keeps it when you say that it works.
With --answers FILE (YAML, `question: answer`) it asks nothing: the same answers always give the same appliance.yaml,
which is tried and kept on full proof (as `apply --confirm auto`). --print shows it and changes nothing; --questions
lists what can be answered. `console_password:` in the file sets the console's login, for user admin; `peer_file:` is
where the keys of the first peer go.
Exit code 0: done; 1: not, and why.

example:
  sudo appliance setup
  appliance setup --answers office.yaml --print
  sudo appliance setup --answers office.yaml"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from appliance.cli.client import ask, print_plan, stop_on_problems
from appliance.cli.failure import Failure, Uncertain
from appliance.cli.wizard.closing import next_steps
from appliance.cli.wizard.world import World
from appliance.core.setup import first_peer
from appliance.core.setup.questions import QUESTIONS, SECOND, complete, problems, text_of
from appliance.core.setup.render import NONE
from appliance.core.setup.seen import Answers, Seen

PASSWORD = "console_password"  # noqa: S105
PEER_FILE = "peer_file"
WITHIN_SECONDS = 90.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--answers", type=Path, metavar="FILE", help="answers, so that nothing is asked")
    parser.add_argument("--print", action="store_true", help="with --answers: print appliance.yaml, change nothing")
    parser.add_argument("--questions", action="store_true", help="list the questions and end")
    parser.add_argument("--replace", action="store_true", help="although this box has a configuration already")


def run(options: argparse.Namespace) -> int:
    if options.questions:
        for question in QUESTIONS:
            print(f"{question.key + ':':<16} {question.title} {question.about}")
        return 0
    if options.print and not options.answers:
        raise Failure("--print needs the answers: appliance setup --answers FILE --print")
    if options.answers:
        return _by_file(options)
    named = _may_begin(options)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure("the wizard needs a terminal; without one: appliance setup --answers FILE")
    from appliance.cli.wizard.app import converse

    return converse(options, named)


def _may_begin(options: argparse.Namespace) -> str:
    """What this box is called, "" where it serves nobody yet."""
    if os.geteuid():
        raise Failure("only root may do this; put sudo before it")
    status = ask(options, {"verb": "status"})["status"]
    if status["site"] and not options.replace:
        raise Failure(
            f"this box serves {status['site']} already; change its file and `appliance apply`, or begin anew with "
            "`appliance setup --replace`"
        )
    return str(status["box"] or "")


def _by_file(options: argparse.Namespace) -> int:
    answers, password, peer_file = _read(options.answers)
    world = World(options, "" if options.print else _may_begin(options))
    seen = Seen() if options.print else Seen(world.cards(), named=world.named)
    # The defaults know nothing of this machine: the same answers mean the same on every box.
    whole = complete(answers, Seen())
    wrong = problems({**answers, **{key: whole[key] for key in whole if whole[key]}}, seen)
    if wrong := wrong or _peer_problems(answers, whole, peer_file, options.print):
        for each in wrong:
            print(f"{options.answers}: {each}", file=sys.stderr)
        raise Failure(f"{options.answers} has {len(wrong)} problem{'s' if len(wrong) > 1 else ''}; nothing was changed")
    if whole["pair"] == SECOND:
        if options.print:
            raise Failure("the second box of a pair gets its appliance.yaml from the first one")
        print(world.join(whole["code"]))
        if password:
            world.password(password)
        return 0
    text = text_of(whole, seen)
    if options.print:
        print(text, end="")
        return 0
    _apply(world, whole, text, password, peer_file)
    return 0


def _peer_problems(answers: Answers, whole: Answers, peer_file: str, only_printed: bool) -> list[str]:
    """Why the first peer cannot be brought in, as `key: what is wrong`."""
    if first_peer.named(answers) and not first_peer.named(whole):
        return ["peer: it needs `next: colleague` or `next: site`, and `reached_at:`, where the box is found"]
    if first_peer.named(whole) and not peer_file:
        return [f"{PEER_FILE}: write the file to which the keys of {whole['peer']} go"]
    if peer_file and not first_peer.named(whole):
        return [f"{PEER_FILE}: there is no `peer:` for whom it is"]
    if peer_file and not only_printed and (Path(peer_file).exists() or not Path(peer_file).parent.is_dir()):
        return [f"{PEER_FILE}: {peer_file} is there already, or its folder is not"]
    return []


def _read(path: Path) -> tuple[Answers, str, str]:
    """The answers, each as text; the password of the console, and the file for the first peer, "" for none."""
    from appliance.core.document import read_document
    from appliance.core.problems import ConfigurationError

    try:
        value = read_document(path.read_bytes()).value
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    except ConfigurationError as error:
        raise Failure(error.problems[0].line(str(path))) from None
    if not isinstance(value, dict) or any(isinstance(each, dict | list) or each is None for each in value.values()):
        raise Failure(f"{path}: write one answer a line, as `question: answer`; see `appliance setup --questions`")
    answers = {key: str(each) for key, each in value.items()}
    return answers, answers.pop(PASSWORD, ""), answers.pop(PEER_FILE, "")


def _apply(world: World, answers: Answers, text: str, password: str, peer_file: str) -> None:
    answer = world.attempt(answers, text, {"within": WITHIN_SECONDS, "confirm": "auto"})
    if answer.get("problems"):
        world.undo()
    stop_on_problems("what follows from the answers", answer)
    print_plan(answer)
    world.put(text)
    if password:
        world.password(password)
    print("the box is set up")
    if not password and answers["admin"] == NONE:
        print("  nobody can log in to it: no administrator, and no console_password")
    brought_in, trouble = first_peer.named(answers), None
    if brought_in:
        try:
            world.hand_out_first_peer(answers, peer_file)
        except Failure as failure:
            brought_in, trouble = isinstance(failure, Uncertain), failure
    outside = world.outside(answers)
    for line in [*([outside] if outside else []), *next_steps(answers, world.recipient(), brought_in)]:
        print(f"  {line}")
    if trouble:
        raise Failure(f"the box is set up, but of {answers['peer']}: {trouble}")
