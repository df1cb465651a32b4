"""`appliance bundle show`: what a bundle or a receipt says, and how far it can be believed."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from appliance.cli.failure import Failure
from appliance.core.bundle import envelope as envelopes
from appliance.core.bundle import payload as payloads
from appliance.core.bundle import receipt as receipts
from appliance.core.bundle.envelope import Envelope
from appliance.core.bundle.refusals import OtherPayloadType, Refusal
from appliance.core.check import check
from appliance.core.model import Config
from appliance.core.problems import ConfigurationError
from appliance.core.state import Trust
from appliance.core.values import ed25519_bytes, fingerprint
from appliance.shell.paths import Paths


def run(options: argparse.Namespace) -> int:
    path = options.file or Paths(options.root).receipt
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        none = "this box has seen no bundle yet" if options.file is None else f"{path} does not exist"
        raise Failure(none) from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    config = trusting(options.trust) if options.trust else None
    try:
        try:
            shown = _configuration(envelopes.read(content), config)
        except OtherPayloadType:
            shown = _receipt(envelopes.read(content, envelopes.RECEIPT))
    except Refusal as refusal:
        raise Failure(f"{path}: {refusal.name}: {refusal}") from None
    if options.json:
        print(json.dumps(shown, indent=2))
    else:
        for name, value in shown.items():
            print(f"{name.replace('_', ' ')}:", "\n" + value if name == "configuration" else value)
    return 0


def _configuration(envelope: Envelope, config: Config | None) -> dict[str, Any]:
    payload = payloads.read(envelope.payload)
    over = " (over)" if payload.expires < time.time() else ""
    return {
        "signatures": _signatures(envelope, config),
        "site": payload.site,
        "boxes": ", ".join(payload.boxes),
        "serial": payload.serial,
        "issued": day(payload.issued),
        "expires": day(payload.expires) + over,
        "secrets_sealed_to": ", ".join(payload.sealed) or "nobody; it carries none",
        "configuration": payload.configuration,
    }


def _signatures(envelope: Envelope, config: Config | None) -> str:
    """Never more than was verified: without --trust a signature is only a name that somebody wrote."""
    if not envelope.signatures:
        return "none: not signed"
    if config is None:
        names = ", ".join(each.key for each in envelope.signatures)
        return f"not verified (name an appliance.yaml: --trust FILE): {names}"
    from appliance.shell.signing import verify

    owners = {fingerprint(line): (name, line) for name, line in trust_of(config).keys.items()}
    said = []
    for each in envelope.signatures:
        if each.key not in owners:
            said.append(f"{each.key} (not trusted)")
            continue
        name, line = owners[each.key]
        right = verify(ed25519_bytes(line), envelope.signed_bytes, each.value)
        said.append(f"{name} (holds)" if right else f"{name} (WRONG: somebody changed the payload)")
    return ", ".join(said)


def _receipt(envelope: Envelope) -> dict[str, Any]:
    words = receipts.fields(envelope.payload)
    words.pop("version", None)
    return {**words, "signed_by": ", ".join(each.key for each in envelope.signatures)}


def trusting(path: Path) -> Config:
    """The configuration whose `trust:` is meant."""
    try:
        config, _ = check(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    except ConfigurationError as error:
        raise Failure(error.problems[0].line(str(path))) from None
    if config.trust is None:
        raise Failure(f"{path}: it has no `trust:`")
    return config


def trust_of(config: Config) -> Trust:
    assert config.trust
    return Trust(config.trust.threshold, dict(config.trust.keys))


def day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
