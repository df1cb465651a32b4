"""What an office is in while the doctor is asked: other files, somebody who calls, a colleague's changed device."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.lab import Box, Node
from tests.labs.faults.case import Cases
from tests.labs.office import OFFICE_HOST, Office, in_order

OFFICE_CASES: Cases[Office] = Cases()


def well(office: Office) -> None:
    """Waits until all is as it should be, before a fault and after it."""
    # A session that was interrupted begins anew within 15 s of the next packet (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT).
    office.laptop.ping(OFFICE_HOST, timeout=30)
    office.branch_host.ping(OFFICE_HOST, timeout=30)
    in_order(office.zurich, 20)
    in_order(office.geneva, 20)


@contextmanager
def trying(source: Node, *command: str) -> Iterator[None]:
    """Somebody who tries again and again."""
    process = subprocess.Popen(
        ["nsenter", f"--net={source.netns}", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def pinging(source: Node, address: str) -> AbstractContextManager[None]:
    return trying(source, "ping", "-n", "-i0.1", address)


@contextmanager
def configured(office: Office, box: Box, text: str) -> Iterator[None]:
    """The box runs another file for a while."""
    office.apply(box, text.replace("{", "{{").replace("}", "}}"))
    try:
        yield
    finally:
        office.apply(box)


@contextmanager
def changed(office: Office, box: Box, before: str, after: str) -> Iterator[None]:
    """The box runs its own file with one thing changed."""
    text = office.yaml(box.name)
    assert before in text
    with configured(office, box, text.replace(before, after)):
        yield


@contextmanager
def laptop_with(office: Office, before: str, after: str) -> Iterator[None]:
    """Alice's own file is another one for a while."""
    assert office.laptop_tunnel
    path = "/etc/wireguard/wg0.conf"
    conf = office.laptop.read(path).decode()
    assert before in conf
    office.laptop_tunnel.down()
    office.laptop.put(path, conf.replace(before, after), 0o600)
    office.laptop_tunnel.up()
    try:
        yield
    finally:
        office.laptop_tunnel.down()
        office.laptop.put(path, conf, 0o600)
        office.laptop_tunnel.up()
