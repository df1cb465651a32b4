"""What became of a bundle, as the box that it was for says and signs it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.core.bundle.times import shown_time

APPLIED = "applied"
REFUSED = "refused"
ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class Receipt:
    """`bundle` is the digest of its payload, or of the file where that is no bundle; `at` in seconds since 1970.

    `refusal` is the class of core/bundle/refusals.py, `generation` the confirmed one afterwards.
    """

    site: str
    box: str
    bundle: str
    serial: int
    outcome: str
    at: float
    generation: int = 0
    refusal: str = ""
    why: str = ""


def written(receipt: Receipt) -> str:
    """The payload of its envelope."""
    lines = [
        "version: 1",
        f"site: {_quoted(receipt.site)}",
        f"box: {_quoted(receipt.box)}",
        f"bundle: {_quoted(receipt.bundle)}",
        f"serial: {receipt.serial}",
        f"outcome: {receipt.outcome}",
        f"at: {shown_time(receipt.at)}",
        f"generation: {receipt.generation}",
    ]
    if receipt.refusal:
        lines.append(f"refusal: {receipt.refusal}")
    if receipt.why:
        lines.append(f"why: {_quoted(receipt.why)}")
    return "\n".join(lines) + "\n"


def fields(payload: str) -> dict[str, str]:
    """The words of a receipt's payload, as `written` lays them out."""
    found = {}
    for line in payload.splitlines():
        name, _, value = line.partition(": ")
        if value.startswith("'") and value.endswith("'"):
            value = value[1:-1].replace("''", "'")
        found[name] = value
    return found


def _quoted(text: str) -> str:
    plain = "".join(each if " " <= each <= "~" else "?" for each in text)
    return "'" + plain.replace("'", "''") + "'"
