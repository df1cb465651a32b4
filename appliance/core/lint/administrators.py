"""Who may log in: a key says who somebody is, so it stands for one person."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.lint.site import Site
from appliance.core.problems import Problem


def lint(site: Site) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, keys in site.config.administrators.items():
        for position, key in enumerate(keys):
            other = first.setdefault(key, name)
            if other != name or key in keys[:position]:
                whose = f"the key of {other} too; write each person's own" if other != name else "written twice"
                yield Problem(("administrators", name, position), f"this key is {whose}")
