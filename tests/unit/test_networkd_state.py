"""What networkd's own files say of a lease, and of a link on which it has given up."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from appliance.adapters.networkd_state import given_up, lent_gateways


@pytest.mark.parametrize(
    ("file", "gateway"),
    [
        ("# This is private data. Do not parse.\nADDRESS=203.0.113.10\nROUTER=203.0.113.1\n", "203.0.113.1"),
        ("ROUTER=203.0.113.1 203.0.113.2\n", "203.0.113.1"),
        ("ROUTER=203.0.113.1\nROUTES=0.0.0.0/0,203.0.113.2\n", None),
        ("ADDRESS=203.0.113.10\n", None),
        ("ROUTER=nobody\n", None),
        (None, None),
    ],
)
def test_what_networkd_was_lent(file: str | None, gateway: str | None, tmp_path: Path) -> None:
    if file is not None:
        (tmp_path / "leases").mkdir()
        (tmp_path / "leases" / str(socket.if_nametoindex("lo"))).write_text(file)
    assert lent_gateways(["lo", "nowhere"], tmp_path) == ({"lo": gateway} if gateway else {})


def test_what_networkd_says(tmp_path: Path) -> None:
    assert given_up(tmp_path) == frozenset()
    (tmp_path / "links").mkdir()
    own = tmp_path / "links" / str(socket.if_nametoindex("lo"))
    own.write_text("# This is private data. Do not parse.\nADMIN_STATE=configured\n")
    (tmp_path / "links" / "99999").write_text("ADMIN_STATE=failed\n")
    assert given_up(tmp_path) == frozenset()
    own.write_text("# This is private data. Do not parse.\nADMIN_STATE=failed\n")
    assert given_up(tmp_path) == {"lo"}
