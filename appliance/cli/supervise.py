"""The service: keeps the box as its confirmed configuration says. systemd starts it (appliance.service).

example:
  systemctl status appliance"""

from __future__ import annotations

import argparse
import sys

from appliance.cli.failure import Failure
from appliance.shell.paths import Paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace) -> int:
    # asyncio and hashlib bring OpenSSL along where they find it: 5 MB for the life of the box, which speaks no TLS.
    # Without it both do what is used here by themselves (Lib/asyncio/sslproto.py, Lib/hashlib.py).
    sys.modules["ssl"] = sys.modules["_hashlib"] = None  # type: ignore[assignment]
    from appliance.supervisor.service import supervise

    try:
        return supervise(Paths(options.root))
    except PermissionError:
        raise Failure("the supervisor may not change the network; start it as: systemctl start appliance") from None
