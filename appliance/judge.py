"""The child process that judges bundles and signs receipts: `python3 -m appliance.judge`, JSON in, JSON out.

The supervisor's memory stays free of OpenSSL and of the parsers, and whatever a stranger's bytes make them do ends with
this process. {"do": "believe", ...} is answered with {"believed": ...} or {"refused": {"class": ..., "text": ...}},
{"do": "receipt", ...} with {"receipt": ...}; {"error": ...} when it could not be done at all.
"""

from __future__ import annotations

import base64
import gc
import json
import resource
import sys
from pathlib import Path
from typing import Any

from appliance.adapters import age
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.adapters.signatures import SigningKey, verify
from appliance.compile import MAXIMUM_MEMORY, MAXIMUM_SECONDS
from appliance.core.bundle import envelope as envelopes
from appliance.core.bundle import receipt as receipts
from appliance.core.bundle.refusals import Refusal, SecretsUnreadable
from appliance.core.bundle.rules import Clock, believe
from appliance.core.bundle.sealed import opened
from appliance.core.bundle.trusted import Trusted
from appliance.core.codec import from_json, to_json
from appliance.core.values import fingerprint


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the child answers to this request."""
    try:
        if request["do"] == "believe":
            return {"believed": _believed(request)}
        return {"receipt": _receipt(request)}
    except Refusal as refusal:
        return {"refused": {"class": refusal.name, "text": str(refusal)}}
    except Refused as error:
        return {"error": str(error)}


def _believed(request: dict[str, Any]) -> dict[str, Any]:
    known = from_json(Trusted, request["known"]) if request["known"] else None
    clock = from_json(Clock, request["clock"])
    box = request["box"]
    found = believe(base64.b64decode(request["file"]), known, box, clock, verify)
    secrets: dict[str, str] = {}
    if box in found.payload.sealed:
        try:
            secrets = opened(age.unseal(found.payload.sealed[box], Path(request["identity"])))
        except Refused as error:
            raise SecretsUnreadable(
                f"its secrets for {box} cannot be opened ({error}); seal them to what `appliance status` shows there"
            ) from None
    return {
        "digest": found.digest,
        "serial": found.payload.serial,
        "signers": list(found.signers),
        "configuration": found.payload.configuration,
        "trusted": to_json(found.trusted),
        "secrets": secrets,
        "needs": list(found.needs),
    }


def _receipt(request: dict[str, Any]) -> str:
    path = Path(request["key"])
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, SigningKey.new().pem(None), 0o600)
    key = SigningKey.load(path.read_bytes(), None)
    text = receipts.written(from_json(receipts.Receipt, request["receipt"]))
    envelope = envelopes.Envelope(envelopes.RECEIPT, text)
    signature = envelopes.Signature(fingerprint(key.public_line), key.sign(envelope.signed_bytes))
    return envelopes.written(envelope.with_signature(signature)).decode()


def main() -> int:
    """Reads standard input to its end and answers on standard output."""
    gc.disable()
    resource.setrlimit(resource.RLIMIT_CPU, (MAXIMUM_SECONDS, MAXIMUM_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MAXIMUM_MEMORY, MAXIMUM_MEMORY))
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
