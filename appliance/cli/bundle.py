"""Signed configurations: one file that carries an appliance.yaml to its site, over any wire and any hands.
All but `apply` work on a laptop, without root. `appliance bundle WHAT --help` explains each.

example:
  appliance bundle keygen anna                                makes anna.key (encrypted) and anna.pub
  appliance bundle create appliance.yaml -o zurich.bundle     checks the file, and wraps it
  appliance bundle sign zurich.bundle --key anna.key
  appliance bundle verify zurich.bundle --trust appliance.yaml
  appliance bundle show zurich.bundle
  sudo appliance bundle apply zurich.bundle                   on the box"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli import bundle_show
from appliance.cli.client import ask, file_request, stop_on_problems
from appliance.cli.failure import Failure
from appliance.core.bundle.envelope import MAXIMUM_BYTES
from appliance.core.problems import ConfigurationError

if TYPE_CHECKING:
    from appliance.core.model import Config

DAYS = 30.0
_KEY_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_PRESHARED = re.compile(r"[A-Za-z0-9+/]{43}=\Z")
_RECIPIENT = re.compile(r"age1[0-9a-z]{50,80}\Z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    whats = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    keygen = whats.add_parser("keygen", help="makes a key to sign with")
    keygen.add_argument("name", metavar="NAME", help="whose it is; NAME.key and NAME.pub are written")
    _passphrase(keygen)
    keygen.add_argument("--no-passphrase", action="store_true", help="for machines: whoever has the file can sign")

    create = whats.add_parser("create", help="wraps an appliance.yaml, unsigned")
    create.add_argument("file", type=Path, metavar="FILE", help="the appliance.yaml")
    create.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE")
    create.add_argument("--serial", type=int, help="only ever rises at a site; default: seconds since 1970")
    create.add_argument("--days", type=float, default=DAYS, help="how long a box may take it (30)")
    create.add_argument("--box", action="append", help="only for this box of the file; default: all of them")
    create.add_argument(
        "--secret", action="append", default=[], metavar="NAME=FILE", help="a preshared key to carry, sealed"
    )
    create.add_argument(
        "--recipient", action="append", default=[], metavar="BOX=age1...",
        help="to whom secrets are sealed; `appliance status` on the box shows it",
    )  # fmt: skip

    sign = whats.add_parser("sign", help="adds a signature")
    sign.add_argument("file", type=Path, metavar="BUNDLE")
    sign.add_argument("--key", type=Path, required=True, help="from `bundle keygen`, or an OpenSSH ed25519 key")
    _passphrase(sign)

    verify = whats.add_parser("verify", help="says whether a box would believe it")
    verify.add_argument("file", type=Path, metavar="BUNDLE")
    verify.add_argument("--trust", type=Path, metavar="FILE", help="an appliance.yaml; default: what this box trusts")
    verify.add_argument("--box", help="as which box; default: the first that it is for")

    show = whats.add_parser("show", help="what it says, and who signed; without BUNDLE: this box's last receipt")
    show.add_argument("file", type=Path, nargs="?", metavar="BUNDLE")
    show.add_argument("--trust", type=Path, metavar="FILE", help="an appliance.yaml whose `trust:` names the signers")
    show.add_argument("--json", action="store_true")

    apply = whats.add_parser("apply", help="on the box: tries it, and keeps it on full proof")
    apply.add_argument("file", type=Path, metavar="BUNDLE")

    whats.add_parser("fetch", help="on the box: looks at the address of `bundles:` now; a timer does the same")


def _passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line is the passphrase; default: it is asked for",
    )


def run(options: argparse.Namespace) -> int:
    match options.what:
        case "keygen":
            return _keygen(options)
        case "create":
            return _create(options)
        case "sign":
            return _sign(options)
        case "verify":
            return _verify(options)
        case "show":
            return bundle_show.run(options)
        case "fetch":
            from appliance.cli.bundle_fetch import fetch

            return fetch(options)
        case _:
            return _apply(options)


# -- keys -------------------------------------------------------------------------------------------------------------


def _keygen(options: argparse.Namespace) -> int:
    from appliance.shell.signing import new_key

    if not _KEY_NAME.match(options.name):
        raise Failure(f"{options.name!r} cannot be the name of a file; write letters, digits, dots and dashes")
    private, public = Path(f"{options.name}.key"), Path(f"{options.name}.pub")
    for path in (private, public):
        if path.exists():
            raise Failure(f"{path} exists already; take another name, or move it away")
    passphrase = None if options.no_passphrase else _asked(options, "passphrase for the new key: ", again=True)
    pem, line = new_key(passphrase)
    write(private, pem, 0o600)
    write(public, f"{line} {options.name}\n".encode(), 0o644)
    print(f"{private}: keep it; {public}: into appliance.yaml of the sites that shall believe it:")
    print(f"trust:\n  keys:\n    {_word(options.name)}: {line}")
    return 0


def _word(name: str) -> str:
    word = re.sub("[^a-z0-9-]", "-", name.lower()).strip("-")
    return word if word[:1].isalpha() else f"key-{word}"


def _asked(options: argparse.Namespace, prompt: str, again: bool = False) -> bytes:
    """The passphrase, from the file that was named or from the terminal; never from the command line."""
    if options.passphrase_file:
        first = read(options.passphrase_file).split(b"\n")[0].rstrip(b"\r")
        if not first:
            raise Failure(f"{options.passphrase_file} begins with an empty line; a passphrase belongs there")
        return first
    if not sys.stdin.isatty():
        raise Failure("there is no terminal to ask for the passphrase; name a file: --passphrase-file FILE")
    text = getpass.getpass(prompt)
    if again and (len(text) < 8 or getpass.getpass("once more: ") != text):
        raise Failure("the two were not the same, or shorter than 8 characters; no key was made")
    return text.encode()


def _sign(options: argparse.Namespace) -> int:
    from appliance.core.bundle import envelope as envelopes
    from appliance.core.bundle.refusals import Refusal
    from appliance.shell.signing import Refused, sign

    key = read(options.key)
    try:
        envelope = envelopes.read(read(options.file))
        signed, name = sign(envelope, key, lambda: _asked(options, f"passphrase of {options.key}: "))
    except Refusal as refusal:
        raise Failure(f"{options.file}: {refusal}") from None
    except Refused as error:
        raise Failure(f"{options.key}: {error}") from None
    if len(signed.signatures) > envelopes.MAXIMUM_SIGNATURES:
        raise Failure(f"{options.file} has {envelopes.MAXIMUM_SIGNATURES} signatures already")
    write(options.file, envelopes.written(signed), 0o644)
    count = len(signed.signatures)
    print(f"{options.file}: signed with {name}; {count} signature{'s' if count > 1 else ''}")
    return 0


# -- bundles ----------------------------------------------------------------------------------------------------------


def _create(options: argparse.Namespace) -> int:
    from appliance.core.bundle import envelope as envelopes
    from appliance.core.bundle import payload as payloads
    from appliance.core.bundle.refusals import Refusal
    from appliance.core.check import check

    content = read(options.file)
    try:
        config, _ = check(content)
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem.line(str(options.file)), file=sys.stderr)
        raise Failure(f"{options.file} has problems; no bundle was made") from None
    if config.trust is None:
        raise Failure(f"{options.file}: it has no `trust:`; a box would refuse it, since no bundle could ever follow")
    boxes = options.box or list(config.boxes)
    if unknown := [box for box in boxes if box not in config.boxes]:
        raise Failure(f"--box {unknown[0]}: the file knows only {' and '.join(config.boxes)}")
    if not 0 < options.days <= 3660:
        raise Failure("--days: write a number up to 3660")
    now = time.time()
    serial = options.serial if options.serial is not None else int(now)
    if not 1 <= serial <= payloads.MAXIMUM_SERIAL:
        raise Failure("--serial: write a number from 1 on")
    payload = payloads.Payload.model_construct(
        version=1, site=config.site, boxes=boxes, serial=serial, issued=float(int(now)),
        expires=float(int(now + options.days * 86400)), sealed=_sealed(options, boxes, config),
        configuration=content.decode().rstrip("\n") + "\n",
    )  # fmt: skip
    text = payloads.written(payload)
    try:
        if payloads.read(text).configuration != payload.configuration:
            raise ValueError("its first line begins with blanks")
        bundle = envelopes.written(envelopes.Envelope(envelopes.CONFIGURATION, text))
    except (Refusal, ValueError) as error:
        raise Failure(f"{options.file} cannot be carried as it is: {error}") from None
    write(options.output, bundle, 0o644)
    until = bundle_show.day(payload.expires)
    print(f"{options.output}: {config.site}, for {', '.join(boxes)}, serial {serial}, until {until}; not signed yet:")
    print(f"  appliance bundle sign {options.output} --key KEY")
    return 0


def _sealed(options: argparse.Namespace, boxes: list[str], config: Config) -> dict[str, str]:
    from appliance.shell.signing import Refused, seal

    peers = [peer for tunnel in config.tunnels.values() for peer in tunnel.peers.values()]
    preshared = {each.preshared_key.secret for each in peers if each.preshared_key}
    secrets = {}
    for text in options.secret:
        name, equals, path = text.partition("=")
        if not equals:
            raise Failure(f"--secret {name}: write NAME=FILE; the value stands in the file, never on the command line")
        secrets[name] = read(Path(path)).decode(errors="replace").strip()
        if name in preshared and not _PRESHARED.match(secrets[name]):
            form = "44 characters that end in =, as `wg genpsk` prints it"
            raise Failure(f"--secret: {name} is not a preshared key ({form})")
    recipients: dict[str, list[str]] = {}
    for text in options.recipient:
        box, _, recipient = text.partition("=")
        if box not in boxes or not _RECIPIENT.match(recipient):
            raise Failure(f"--recipient {text}: write BOX=age1..., as `appliance status` shows it on the box")
        recipients.setdefault(box, []).append(recipient)
    if not secrets:
        return {}
    if missing := [box for box in boxes if box not in recipients]:
        raise Failure(f"to whom are the secrets for {missing[0]} sealed? --recipient {missing[0]}=age1...")
    try:
        return seal(secrets, recipients)
    except ValueError as error:
        raise Failure(f"--secret: {error}") from None
    except Refused as error:
        raise Failure(str(error)) from None


def _verify(options: argparse.Namespace) -> int:
    from appliance.core.bundle import payload as payloads
    from appliance.core.bundle.envelope import read as read_envelope
    from appliance.core.bundle.refusals import Refusal
    from appliance.core.bundle.rules import Clock, believe, signers
    from appliance.core.bundle.trusted import Trusted
    from appliance.shell.signing import verify

    content = read(options.file)
    if options.trust is None:
        answer = ask(options, {**file_request("bundle", content), "judge": True})
        print(f"{options.file}: this box believes it: serial {answer['serial']}, by {', '.join(answer['signers'])}")
        return 0
    config = bundle_show.trusting(options.trust)
    assert config.trust
    try:
        trust = bundle_show.trust_of(config)
        envelope = read_envelope(content)
        signers(envelope, trust, verify)
        box = options.box or payloads.read(envelope.payload).boxes[0]
        found = believe(content, Trusted(config.site, trust), box, Clock(time.time()), verify)
    except Refusal as refusal:
        raise Failure(f"{options.file}: {refusal.name}: {refusal}") from None
    print(
        f"{options.file}: {box} would believe it: serial {found.payload.serial}, by {', '.join(found.signers)}, "
        f"until {bundle_show.day(found.payload.expires)}"
    )
    return 0


def _apply(options: argparse.Namespace) -> int:
    answer = ask(options, file_request("bundle", read(options.file)))
    stop_on_problems(str(options.file), answer)
    print(f"{options.file}: applied and confirmed as generation {answer['generation']}: all that worked, works")
    return 0


# -- files ------------------------------------------------------------------------------------------------------------


def read(path: Path) -> bytes:
    """No more than a little over what a bundle may have: a stick may hold a heap of zeros."""
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None


def write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from None
