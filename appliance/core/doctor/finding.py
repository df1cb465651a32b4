"""One thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`cause` is a word for programs, `about` what it concerns (an uplink, a peer, ""); the rest is for people."""

    cause: str
    about: str
    sentence: str
    evidence: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, the gravest first, without what follows from it; and what could not be found out."""

    findings: tuple[Finding, ...]
    untold: tuple[str, ...] = ()
