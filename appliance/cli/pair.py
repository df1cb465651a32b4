"""Makes two boxes a pair. On the box that has the configuration, `invite` shows a one-time code; on the other,
`join CODE` takes the tunnels' keys, the secrets and the file, and serves as the second box from then on.
The code works once, for ten minutes, and three wrong ones void it. Both boxes must be on the network that
failover.pair_link names; the joining one needs no address and no configuration. `join -` reads the code from
the keyboard, where no other user of the box can see it.
Exit code 0: done; 1: not, and why.

example:
  sudo appliance pair invite
  sudo appliance pair join 417-2930-5586"""

from __future__ import annotations

import argparse
import os
import sys

from appliance.cli import session
from appliance.cli.client import SilentSupervisor, ask, file_request, stop_on_problems
from appliance.cli.failure import Failure
from appliance.core.pair.enrolment import MINUTES, Code, read_code
from appliance.shell.paths import Paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["invite", "join"])
    parser.add_argument("code", nargs="?", metavar="CODE", help="for join: as the other box shows it; - asks for it")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for invite: how long the code works (10)")
    parser.add_argument("--replace", action="store_true", help="for join: give up the configuration that runs here")


def run(options: argparse.Namespace) -> int:
    if os.geteuid():
        raise Failure("only root may do this; put sudo before it")
    return _invite(options) if options.what == "invite" else _join(options)


def _invite(options: argparse.Namespace) -> int:
    from appliance.shell.enrolment import NotEnrolled, invite, welcome_for

    if not 0 < options.minutes <= 60:
        raise Failure("--minutes: write a number up to 60")
    here = ask(options, {"verb": "invitation"})
    paths = Paths(options.root)
    try:
        welcome = welcome_for(paths, here)
    except NotEnrolled as error:
        raise Failure(str(error)) from None

    def show(code: Code) -> None:
        print(f"on the other box: appliance pair join {code}")
        print(f"it becomes {welcome.box} of {welcome.site}; the code works once, for {options.minutes:g} minutes")
        sys.stdout.flush()

    try:
        invite(paths, here["device"], options.minutes, welcome, show)
    except NotEnrolled as error:
        raise Failure(str(error)) from None
    ask(options, {"verb": "enrolled"})
    print(f"{welcome.box} has joined; see `appliance status`")
    return 0


def _join(options: argparse.Namespace) -> int:
    print(join_by_code(options))
    return 0


def join_by_code(options: argparse.Namespace) -> str:
    """Joins the pair whose first box shows the code in `options.code`; what this box is then. Raises Failure."""
    from appliance.shell.enrolment import NotEnrolled, join

    if not options.code:
        raise Failure("which code? appliance pair join CODE, as the other box shows it after `appliance pair invite`")
    text = input("code: ") if options.code == "-" else options.code
    code = read_code(text)
    if code is None:
        raise Failure("this is no code; it looks like 417-2930-5586")
    status = ask(options, {"verb": "status"})["status"]
    if status["site"] and not options.replace:
        raise Failure(
            f"this box serves {status['site']} as {status['box']} already; to give that up: "
            f"appliance pair join --replace {code}"
        )
    try:
        welcome, before = join(Paths(options.root), code)
    except NotEnrolled as error:
        raise Failure(str(error)) from None
    request = {"confirm": "auto", "origin": session.caller(), "within": 90.0}
    try:
        answer = ask(options, {**file_request("apply", welcome.file.encode()), **request})
        stop_on_problems("the other box's file", answer)
    except Failure as error:
        if not status["site"] or isinstance(error, SilentSupervisor):
            raise  # mended, `appliance apply` goes on with what is here now
        try:
            before.restore()
            ask(options, {"verb": "repair"})
        except (NotEnrolled, Failure) as refused:
            raise Failure(f"{error}; and {refused}") from None
        raise Failure(f"{error}; this box is what it was, {status['box']} of {status['site']}") from None
    return f"this is {welcome.box} of {welcome.site} now, beside {welcome.inviter}; see `appliance status`"
