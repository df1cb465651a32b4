"""The secrets of one box, as they are sealed: a mapping of names to preshared keys, as `wg genpsk` prints them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from appliance.core.bundle.refusals import SecretsUnreadable

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=\Z")


def closed(secrets: Mapping[str, str]) -> bytes:
    """What is to be sealed. Raises ValueError naming the secret that is none."""
    for name, value in secrets.items():
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no name of a secret")
        if not _KEY.match(value):
            raise ValueError(f"{name} is not a preshared key (44 characters that end in =, as `wg genpsk` prints it)")
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
