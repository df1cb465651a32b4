"""The secrets of one box, as they are sealed: a mapping of names to preshared keys, as `wg genpsk` prints them, and
to passwords of providers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from appliance.core.bundle.refusals import SecretsUnreadable
from appliance.core.secret_text import LONGEST, is_secret

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")


def closed(secrets: Mapping[str, str]) -> bytes:
    """What is to be sealed. Raises ValueError naming the secret that is none."""
    for name, value in secrets.items():
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no name of a secret")
        if not is_secret(value):
            raise ValueError(f"{name} is neither a preshared key (`wg genpsk`) nor a password: one line, {LONGEST}")
    return json.dumps(dict(secrets), sort_keys=True).encode()


def opened(content: bytes) -> dict[str, str]:
    """Raises SecretsUnreadable."""
    try:
        found = json.loads(content)
        if isinstance(found, dict) and closed(found):
            return found
    except (ValueError, TypeError, AttributeError):
        pass
    raise SecretsUnreadable("what was sealed are no secrets; seal them with `appliance bundle create`")
