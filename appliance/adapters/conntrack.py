"""Known connections are forgotten through conntrack(8); a packet of one that is still allowed makes it known again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from itertools import product

from appliance.adapters.errors import Refused
from appliance.core.state import Grant

SECONDS = 10.0
AT_MOST = 400
"""Beyond so many calls it is quicker, and no less right, to forget every connection."""


def forget(grants: Iterable[Grant]) -> None:
    """Forgets the connections that these grants allowed. Raises Refused."""
    _run([call for grant in grants for call in _calls(grant)])


def forget_address(address: str) -> None:
    """Forgets the connections that are answered to an IPv4 address which is ours no more. Raises Refused."""
    _run([["-D", "-f", "ipv4", "--reply-dst", address]])


def _run(calls: list[list[str]]) -> None:
    for call in [["-F"]] if len(calls) > AT_MOST else calls:
        try:
            done = subprocess.run(["conntrack", *call], capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(f"known connections cannot be forgotten: {error}") from None
        said = done.stderr.decode(errors="replace")
        # Exit code 1 is also how conntrack says that there was none to delete.
        if done.returncode and "flow entries have been deleted" not in said:
            raise Refused(f"known connections cannot be forgotten: {' '.join(said.split())}")


def _calls(grant: Grant) -> Iterator[list[str]]:
    ports = sorted({tuple(_port(text)) for text in grant.ports}) or [()]
    for source, destination, port in product(grant.sources or ("",), grant.destinations or ("",), ports):
        versions = {6 if ":" in text else 4 for text in (source, destination) if text}
        if len(versions) == 2:
            continue
        if grant.forwarded_to:
            versions = {6 if ":" in grant.forwarded_to else 4}
        for version in versions or {4, 6}:
            call = ["-D", "-f", f"ipv{version}"]
            call += ["--orig-src", source] if source else []
            call += ["--orig-dst", destination] if destination else []
            call += ["--reply-src", grant.forwarded_to] if grant.forwarded_to else []
            yield [*call, *port]


def _port(text: str) -> list[str]:
    """conntrack takes one port; of a range all connections of the protocol are forgotten."""
    protocol, _, numbers = text.partition("/")
    return ["-p", protocol] + ([] if "-" in numbers else ["--orig-port-dst", numbers])
