"""How a verb ends badly: one sentence that says what to do, and an exit code."""

from __future__ import annotations


class Failure(Exception):
    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class NoRoom(Failure):
    """A terminal is too small for what it is to show."""


class Uncertain(Failure):
    """The supervisor has begun, and did not say how it ended."""


def sentence(error: Exception) -> str:
    """What the error says to a person: of the system's, the file and the reason without a number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
