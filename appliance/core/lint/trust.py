"""Whose bundles the site takes: a trust that no set of signatures could ever meet."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.site import Site
from appliance.core.problems import Problem
from appliance.core.values import fingerprint


def lint(site: Site) -> Iterator[Problem]:
    trust = site.config.trust
    if trust is None:
        if site.config.bundles:
            yield Problem(("bundles",), "nobody's signature is trusted here; write `trust:` beside it")
        return
    if len(trust.keys) < trust.threshold:
        has = f"only {len(trust.keys)} key{'s' if len(trust.keys) > 1 else ''}" if trust.keys else "no keys"
        message = f"{trust.threshold} must sign, but there are {has}; add keys, or lower the threshold"
        yield Problem(("trust", "threshold" if trust.threshold > 1 else "keys"), message)
    first: dict[str, str] = {}
    for name, line in trust.keys.items():
        other = first.setdefault(fingerprint(line), name)
        if other != name:
            yield Problem(("trust", "keys", name), f"this is the key of {other} too; one person signs once")
