"""Who may log in by ssh: sshd's file of keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def login_keys_file(administrators: Mapping[str, Iterable[str]]) -> str:
    """One line a key, each with its owner's name."""
    lines = [f"{key} {name}\n" for name, keys in administrators.items() for key in keys]
    return "# Written by appliance from appliance.yaml; changes here are undone.\n" + "".join(lines)


def login_keys(content: str | None) -> set[str]:
    """The keys in such a file; none where there is no file."""
    lines = (content or "").splitlines()
    return {" ".join(line.split()[:2]) for line in lines if line and not line.startswith("#")}
