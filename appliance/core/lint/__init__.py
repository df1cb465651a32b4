"""The linter that knows networks: what every single value says well and all of them together say wrong.

Each module looks at one part of the file and is a generator of problems; none changes anything, none asks the
machine. A problem's path is where the words to change stand.
"""

from __future__ import annotations

from appliance.core.lint import (
    addresses,
    administrators,
    boxes,
    coverage,
    endpoints,
    failover,
    forwards,
    interfaces,
    keys,
    monitoring,
    overlaps,
    repeats,
    rules,
    trust,
    tunnels,
)
from appliance.core.lint.site import Site
from appliance.core.model import Config
from appliance.core.problems import Problem

LINTERS = (
    boxes.lint,
    interfaces.lint,
    failover.lint,
    repeats.lint,
    addresses.lint,
    tunnels.lint,
    keys.lint,
    endpoints.lint,
    overlaps.lint,
    rules.lint,
    coverage.lint,
    forwards.lint,
    trust.lint,
    administrators.lint,
    monitoring.lint,
)


def lint(config: Config) -> list[Problem]:
    """Every problem of the network that `config` describes; in no order, without marks."""
    site = Site(config)
    return [problem for linter in LINTERS for problem in linter(site)]
