"""What the wizard sees of the machine, as values: the defaults of its questions come from here."""

from __future__ import annotations

from dataclasses import dataclass

Answers = dict[str, str]
"""What was answered so far, by the questions' keys; every answer is text, as a person types it."""


@dataclass(frozen=True, slots=True)
class Card:
    """A network card: `carrier` where its cable leads to something that is on; `address` is its MAC address."""

    device: str
    carrier: bool
    address: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """`offered` is what a DHCP server on the uplink gave when it was tried; "" when nothing was tried or came. `named`
    is what a box that serves an office already is called there, "" for a new one."""

    cards: tuple[Card, ...] = ()
    offered: str = ""
    named: str = ""


def pulled(before: tuple[Card, ...], after: tuple[Card, ...]) -> str | None:
    """The one card that lost its cable since, None when none did, or more than one."""
    with_cable = {card.device for card in after if card.carrier}
    lost = [card.device for card in before if card.carrier and card.device not in with_cable]
    return lost[0] if len(lost) == 1 else None
