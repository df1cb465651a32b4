"""The command's side of the control socket, and what verbs share in reading files and showing answers."""

from __future__ import annotations

import argparse
import base64
import json
import socket
import sys
from pathlib import Path
from typing import Any

from appliance.cli.failure import Failure
from appliance.shell.paths import Paths

SECONDS = 120.0


class Refusal(Failure):
    """The supervisor said no; `name` is the class of a bundle's refusal, "" for other reasons."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


class SilentSupervisor(Failure):
    """Nobody answers at the control socket."""


SOCKET_BYTES = 5 << 20
"""The control socket takes lines of 8 MB; what is longer than a configuration may be gets its answer here."""


def add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: /data/appliance/appliance.yaml")


def read_file(options: argparse.Namespace) -> tuple[str, bytes]:
    """The name to show and the bytes of FILE; `-` is standard input."""
    if options.file is not None and str(options.file) == "-":
        return "-", sys.stdin.buffer.read()
    path = options.file or Paths(options.root).configuration
    try:
        return str(path), path.read_bytes()
    except FileNotFoundError:
        hint = "" if options.file else "; write it, or name another: appliance " + options.verb + " FILE"
        raise Failure(f"{path} does not exist{hint}") from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None


def ask(options: argparse.Namespace, request: dict[str, Any], seconds: float = SECONDS) -> dict[str, Any]:
    """Sends one request to the supervisor and returns its answer. Raises Failure with the supervisor's own sentence."""
    path = Paths(options.root).control
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline())
        except (FileNotFoundError, ConnectionRefusedError):
            raise SilentSupervisor(_why_nobody_listens()) from None
        except PermissionError:
            raise Failure("only root and the group appliance may do this; put sudo before it") from None
        except (TimeoutError, ConnectionError, ValueError):
            raise SilentSupervisor("the supervisor did not answer; see `journalctl -u appliance`") from None
    if "error" in answer:
        raise Refusal(answer["error"], answer.get("refusal", ""))
    return dict(answer)


def _why_nobody_listens() -> str:
    from appliance.shell.doctoring import supervisor_starts

    if supervisor_starts():
        return "the supervisor is still starting; try again in a moment, or see `journalctl -u appliance`"
    return "the supervisor does not run here; start it: systemctl start appliance"


def file_request(verb: str, content: bytes) -> dict[str, Any]:
    if len(content) > SOCKET_BYTES:
        most = "a bundle is at most 5 MB" if verb == "bundle" else "a configuration is at most 4 MB"
        raise Failure(f"the file is {len(content) / 1e6:.1f} MB long; {most}")
    return {"verb": verb, "file": base64.b64encode(content).decode()}


def stop_on_problems(name: str, answer: dict[str, Any]) -> None:
    """Prints every problem that the answer carries, and ends with exit code 1."""
    if problems := answer.get("problems"):
        from appliance.core.problems import Mark, Problem

        for each in problems:
            problem = Problem(tuple(each["path"]), each["message"], Mark(**each["mark"]))
            print(problem.line(name), file=sys.stderr)
        raise Failure(f"{name} has {len(problems)} problem{'s' if len(problems) > 1 else ''}; nothing was changed")


def print_plan(answer: dict[str, Any]) -> None:
    for warning in answer["warnings"]:
        print(f"note: {warning}")
    for number, step in enumerate(answer["steps"], 1):
        print(f"{number:3}. {step['text']}")
    if not answer["steps"]:
        print("nothing to do")
    else:
        print("disturbs: " + "; ".join(answer["disturbs"]))
