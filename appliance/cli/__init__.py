"""The command `appliance`: a table of verbs, each in a module of its own that is loaded only when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance import __version__
from appliance.cli.failure import Failure, sentence

VERBS = {
    "setup": "the wizard: from a new box to an office that is online",
    "check": "reports every problem of an appliance.yaml; needs no root and no network",
    "plan": "the steps from the running state to a file, and what each one disturbs",
    "apply": "runs the plan as a trial: confirmed, or gone again",
    "confirm": "ends the trial: what runs is what a boot loads",
    "rollback": "ends the trial the other way, or returns to a generation",
    "history": "the generations: what was applied when, and what became of it",
    "pair": "makes two boxes a pair: `pair invite` here, `pair join CODE` there",
    "peer": "colleagues and sites: add (a QR code, a wg-quick file), list, show, rotate, remove",
    "bundle": "signed configurations: keygen, create, sign, verify, show on any laptop; apply on the box",
    "update": "installs a new system beside this one; it proves itself, or the box returns",
    "handover": "gives the role of master to the other box of the pair",
    "status": "uplinks, tunnels and peers, as the system says at this moment",
    "metrics": "the same for Prometheus; `monitoring:` in appliance.yaml says who may read it",
    "support": "an archive for whoever is to help, free of this box's secrets",
    "doctor": "what is wrong and why, with what shows it and what to do",
    "factory-reset": "erases everything that was set up on this box, and restarts it",
    "schema": "prints the JSON Schema of appliance.yaml, for editors, or of `status --json`, for programs",
    "supervise": "the service; started by systemd",
}


def _module(verb: str) -> str:
    return f"appliance.cli.{verb.replace('-', '_')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns its exit code. Failures are one sentence on standard error, never a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = words[0] if words and words[0] in VERBS else None
    parser = _parser(verb)
    try:
        options = parser.parse_args(words)
        run = importlib.import_module(_module(options.verb)).run
        return int(run(options))
    except Failure as failure:
        print(f"appliance: {failure}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return 130
    except EOFError:
        print("appliance: the question was not answered; nothing was changed", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (`| head`) went away; Python would complain once more while closing standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # What no verb has a better sentence for: a folder that is closed to this user, a full disk.
        print(f"appliance: {sentence(error)}", file=sys.stderr)
        return 1


class _Help(argparse.RawDescriptionHelpFormatter):
    """Made for each option, help or not; argparse's own way to the width loads three compression libraries."""

    def __init__(self, prog: str) -> None:
        try:
            columns = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
        except (ValueError, OSError):
            columns = 80
        super().__init__(prog, width=columns - 2)


def _parser(verb: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="appliance",
        description="The office gateway. `appliance VERB --help` explains a verb and shows an example.",
        epilog="example: appliance check appliance.yaml",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"appliance {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, help_text in VERBS.items():
        if verb not in (None, name):
            continue
        entry = verbs.add_parser(name, help=help_text, formatter_class=_Help)
        entry.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="where the box's files lie")
        if verb:
            module = importlib.import_module(_module(name))
            entry.description = module.__doc__
            module.add_arguments(entry)
    return parser
