"""What `status` shows of the pair."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phases:
    """The last takeover: seconds after keepalived's MASTER at which each was done, None while it is not."""

    told: float = 0.0
    """keepalived's MASTER, in seconds since 1970."""
    committed: float | None = None
    unmuted: float | None = None
    first_handshake: float | None = None
    last_active_back: float | None = None
    called: int = 0
    answered: int = 0
    given_up: int = 0
    done: bool = False
    """Nobody is being called any more."""


@dataclass(frozen=True, slots=True)
class PartnerReport:
    box: str
    alive: bool
    heard_ago: float
    """Seconds."""
    role: str
    epoch: int
    ready: bool
    in_step: bool
    """Both boxes have the same confirmed configuration."""
    ahead: str
    """The box with the higher generation, "" when neither has."""


@dataclass(frozen=True, slots=True)
class Report:
    box: str
    role: str
    vrrp: str
    since: float
    """Seconds since 1970."""
    why: str
    epoch: int
    muted: bool
    ready: bool
    not_ready: tuple[str, ...]
    partner: PartnerReport | None
    dead_uplinks: tuple[str, ...]
    """Those whose gateway does not answer."""
    living_uplinks: tuple[str, ...]
    """Those whose gateway answers. The rest cannot be asked from here, or have never answered."""
    takeovers: int
    """How often this box became master since its supervisor was started."""
    takeover: Phases | None
    """The last one."""
    notes: tuple[str, ...]
