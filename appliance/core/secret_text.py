"""What the text of a secret may be: a preshared key as `wg genpsk` prints it, or a provider's password."""

from __future__ import annotations

LONGEST_BYTES = 128
"""pppd takes 256 (MAXSECRETLEN), no provider gives as many; a preshared key has 44."""
LONGEST = f"1 to {LONGEST_BYTES} printable characters"


def is_secret(text: str) -> bool:
    """One line that can be printed."""
    return text.isprintable() and 0 < len(text.encode(errors="replace")) <= LONGEST_BYTES
