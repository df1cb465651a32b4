"""What labs with a drawing of their own have in common: boxes side by side, keys, files, name servers, servers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from appliance.core.generations import Generation, packed
from tests.lab import Box, KeyPair, Node, wait_for


def side_by_side[T](work: Callable[[T], object], items: Iterable[T]) -> list[object]:
    """Does `work` for all items at the same time; raises what the first of them raised."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(work, items))


def boot(*boxes: Box) -> None:
    side_by_side(Box.boot, boxes)


def give_key(box: Box, tunnel: str, pair: KeyPair) -> None:
    """The lab knows every key beforehand, so that both sides' files can be written before either box runs."""
    box.put(f"/data/appliance/keys/wg-{tunnel}.key", pair.private, 0o600)


def configure(box: Box, text: str, check: bool = True) -> str:
    """Hands a box its appliance.yaml; returns what `appliance apply` said."""
    box.put("/data/appliance/appliance.yaml", text, 0o600)
    return apply(box, check=check)


def apply(box: Box, *arguments: str, check: bool = True, timeout: float = 60) -> str:
    """Applies and confirms, as an administrator does; returns what `appliance apply` said."""
    done = box.run("appliance", "apply", *arguments, check=check, timeout=timeout)
    if done.returncode == 0 and "on trial" in done.stdout:
        # The kernel counts a session's age in hundredths of a second: this one may seem to be as old as the change.
        confirm = lambda: box.run("appliance", "confirm", check=False).returncode == 0  # noqa: E731
        wait_for(confirm, 5, "a session opened after the change confirms it")
    return done.stdout + done.stderr


def confirmed(box: Box, text: str) -> None:
    """Lays the file on a box that is off as if it had been confirmed there."""
    folder = box.data / "appliance/generations"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "000001").write_bytes(packed(Generation(1, text.encode(), origin="lab")))


def pings(source: Node, address: str) -> bool:
    """Whether one of three pings is answered."""
    return source.run("ping", "-n", "-c3", "-i0.1", "-W0.5", address, check=False).stdout.count("ttl=") > 0


@contextmanager
def serving(node: Node, port: int, text: str = "here") -> Iterator[None]:
    """A TCP server on `node` that says one line to whoever connects."""
    argv = ["socat", f"TCP6-LISTEN:{port},ipv6only=0,reuseaddr,fork", f"SYSTEM:echo {text}"]
    server = node.popen(argv, stdout=subprocess.DEVNULL)
    wait_for(lambda: f":{port} " in node.sh("ss -Hltn"), 5, f"{node.name} serves port {port}")
    try:
        yield
    finally:
        server.kill()
        server.wait()


def fetch(node: Node, address: str, port: int, seconds: float = 2) -> str:
    """What the TCP server at the address says; "" when there is no connection."""
    target = f"TCP:[{address}]:{port}" if ":" in address else f"TCP:{address}:{port}"
    argv = ["socat", "-u", f"{target},connect-timeout={seconds}", "STDOUT"]
    return node.run(argv, check=False, timeout=30).stdout.strip()
