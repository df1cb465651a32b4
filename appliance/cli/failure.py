"""How a verb ends badly: one sentence that says what to do, and an exit code."""

from __future__ import annotations


class Failure(Exception):
    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
