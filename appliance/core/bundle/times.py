"""Times as bundles write them: UTC, to the second (RFC 3339)."""

from __future__ import annotations

from datetime import UTC, datetime


def shown_time(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-24T08:00:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
