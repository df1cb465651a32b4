"""The first colleague or branch: what `appliance peer` is told to bring it in, once the box is set up."""

from __future__ import annotations

from appliance.core.check import check
from appliance.core.peering import choose, edit
from appliance.core.problems import ConfigurationError
from appliance.core.setup.render import NONE, endpoint
from appliance.core.setup.seen import Answers
from appliance.core.splice import Unable

SITE = "site"
SOME_KEY = "MDjxVfjG5F5MSou2m18I/4AKH/SShejeviOlgzxtBRI="
"""A public key, to check what a peer may be before it has one."""


def named(answers: Answers) -> bool:
    """Whether somebody is to be brought in by the setup itself."""
    return answers.get("peer", NONE) != NONE


def words(answers: Answers) -> list[str]:
    """`peer add` and what follows; in capitals what a person did not say."""
    name = answers["peer"] if named(answers) else "NAME"
    networks = answers["peer_networks"].split() if named(answers) and "peer_networks" in answers else ["NETWORK"]
    site = ["--site", *networks] if answers.get("next") == SITE else []
    return ["peer", "add", name, *site, "--allow", "lan", "--endpoint", endpoint(answers) or "HOST:PORT"]


def problem(text: str, tunnel: str, name: str, networks: list[str]) -> str:
    """What `peer add` would say against it; "" when nothing. `text` is the appliance.yaml that it would change."""
    content = text.encode()
    try:
        addresses = [str(each) for each in choose.free_addresses(check(content)[0], tunnel)]
        check(edit.add(content, tunnel, edit.NewPeer(name, SOME_KEY, None, addresses, networks)))
    except (choose.NotKnown, Unable) as error:
        return str(error)
    except ConfigurationError as error:
        return error.problems[0].message
    return ""
