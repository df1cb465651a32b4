"""What a bundle says once it is believed: for whom, when, the configuration, and secrets sealed to each box."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from appliance.core.bundle.refusals import UnreadablePayload
from appliance.core.bundle.times import shown_time
from appliance.core.document import read_document
from appliance.core.problems import ConfigurationError
from appliance.core.values import Name, bad

MAXIMUM_SERIAL = 10**15
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")


def _time(value: Any) -> float:
    if isinstance(value, str) and _TIME.match(value):
        try:
            return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            pass
    raise bad("a time belongs here, as 2026-11-24T08:00:00Z")


Time = Annotated[float, BeforeValidator(_time)]


class Payload(BaseModel):
    """`sealed` holds, for each box, its secrets as an age file in ASCII armour (https://age-encryption.org/v1)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    version: Literal[1]
    site: Name
    boxes: list[Name] = Field(min_length=1, max_length=2)
    serial: int = Field(ge=1, le=MAXIMUM_SERIAL)
    issued: Time
    expires: Time
    sealed: dict[Name, str] = Field(default_factory=dict)
    configuration: str


def read(text: str) -> Payload:
    """The payload of an envelope whose signatures hold. Raises UnreadablePayload."""
    try:
        document = read_document(text.encode())
        return Payload.model_validate(document.value)
    except ConfigurationError as error:
        raise UnreadablePayload(f"the payload cannot be read: {error.problems[0].line('payload')}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the payload"
        raise UnreadablePayload(f"the payload cannot be used: {where}: {first['msg'].lower()}") from None


def written(payload: Payload) -> str:
    """The payload as text for an envelope."""
    lines = [
        "version: 1",
        f"site: {payload.site}",
        f"boxes: [{', '.join(payload.boxes)}]",
        f"serial: {payload.serial}",
        f"issued: {shown_time(payload.issued)}",
        f"expires: {shown_time(payload.expires)}",
    ]
    if payload.sealed:
        lines.append("sealed:")
        for box, text in payload.sealed.items():
            lines += [f"  {box}: |", *_block(text, "    ")]
    lines += ["configuration: |", *_block(payload.configuration, "  ")]
    return "\n".join(lines) + "\n"


def _block(text: str, indent: str) -> list[str]:
    return [indent + line if line else "" for line in text.rstrip("\n").split("\n")]
