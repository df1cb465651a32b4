"""A site that trusts two of three, its bundles, and a box that judges them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from appliance.adapters.signatures import SigningKey, verify
from appliance.core.bundle import envelope as envelopes
from appliance.core.bundle import payload as payloads
from appliance.core.bundle.envelope import Envelope, Signature
from appliance.core.bundle.payload import Payload
from appliance.core.bundle.rules import Believed, Clock, believe
from appliance.core.bundle.trusted import Trusted
from appliance.core.state import Trust
from appliance.core.values import fingerprint

NOW = 1_800_000_000.0
DAY = 86400.0

KEYS = {name: SigningKey.new() for name in ("anna", "ben", "carla", "mallory")}
LINES = {name: key.public_line for name, key in KEYS.items()}
TRUST = Trust(2, {name: LINES[name] for name in ("anna", "ben", "carla")})

CONFIGURATION = """\
version: 1
site: zurich
boxes:
  alpha:
    interfaces:
      wan: {{device: enp1s0, address: dhcp}}
      lan: {{device: enp2s0, address: 192.168.10.1/24}}
trust:
  threshold: {threshold}
  keys:
{keys}
"""


def configuration(threshold: int = 2, names: tuple[str, ...] = ("anna", "ben", "carla")) -> str:
    return CONFIGURATION.format(threshold=threshold, keys="\n".join(f"    {n}: {LINES[n]}" for n in names))


def payload(**more: object) -> Payload:
    words: dict[str, object] = {
        "version": 1, "site": "zurich", "boxes": ["alpha"], "serial": 7, "issued": NOW - DAY, "expires": NOW + DAY,
        "sealed": {}, "configuration": configuration(),
    }  # fmt: skip
    return Payload.model_construct(**{**words, **more})


def signed(what: Payload | str, *names: str, kind: str = envelopes.CONFIGURATION) -> Envelope:
    text = what if isinstance(what, str) else payloads.written(what)
    envelope = Envelope(kind, text)
    for name in names or ("anna", "ben"):
        envelope = replace(envelope, signatures=(*envelope.signatures, signature(name, envelope)))
    return envelope


def signature(name: str, envelope: Envelope) -> Signature:
    return Signature(fingerprint(LINES[name]), KEYS[name].sign(envelope.signed_bytes))


def bundle(*names: str, **more: object) -> bytes:
    return envelopes.written(signed(payload(**more), *names))


@dataclass
class JudgingBox:
    known: Trusted
    clock: Clock = field(default_factory=lambda: Clock(NOW))

    def takes(self, content: bytes) -> Believed:
        found = believe(content, self.known, "alpha", self.clock, verify)
        self.known = found.trusted
        return found
