"""How an adapter says that the world refused: one sentence, for a person."""

from __future__ import annotations


class Refused(Exception):
    """The kernel, a daemon or the disk refused what was asked. The text says what, and if known what to do."""
