"""Runs a test in a network namespace of its own, in this process: namespaces belong to threads (namespaces(7))."""

from __future__ import annotations

import functools
import os
import subprocess
import threading
from collections.abc import Callable


def in_own_network(test: Callable[..., None]) -> Callable[..., None]:
    """A fresh network for one test: `enp1s0`, up, with 203.0.113.2/24 and fd00::1/64, its other end `far`."""

    @functools.wraps(test)
    def run(*arguments: object, **named: object) -> None:
        errors: list[BaseException] = []

        def body() -> None:
            try:
                os.unshare(os.CLONE_NEWNET)
                for line in (
                    "link set lo up",
                    "link add enp1s0 type veth peer name far",
                    "link set enp1s0 up",
                    "link set far up",
                    "address add 203.0.113.2/24 dev enp1s0",
                    "address add fd00::1/64 dev enp1s0 nodad",
                ):
                    subprocess.run(["ip", *line.split()], check=True)
                test(*arguments, **named)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]

    return run
