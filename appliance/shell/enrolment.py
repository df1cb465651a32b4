"""The two ends of an enrolment, as the command runs them: waiting for the other box, and looking for it."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.adapters.enrolment_channel import Broken, Channel, WrongCode
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.adapters.keys import Keys
from appliance.core.codec import from_json, to_json
from appliance.core.pair.enrolment import (
    ATTEMPTS,
    ENROLMENT_PORT,
    VERSION,
    Code,
    Joining,
    Welcome,
    new_code,
    sound,
)
from appliance.core.pair.link import PARTNER_KEY
from appliance.core.pair.names import PAIR_DEVICE
from appliance.core.state import TUNNEL_DEVICES
from appliance.shell.paths import Paths

LOOK_SECONDS = 20.0
CONNECT_SECONDS = 1.0


class NotEnrolled(Exception):
    """Why not, and what to do; nothing has changed on this box, or what has is mended by doing it again."""


# -- the inviting box -------------------------------------------------------------------------------------------------


def welcome_for(paths: Paths, here: Mapping[str, Any]) -> Welcome:
    """What the other box is given. `here` is the supervisor's word on this one, with the names of keys and secrets."""
    keys = Keys(paths.state)
    try:
        keys.private_key(PAIR_DEVICE)
        return Welcome(
            site=here["site"],
            box=here["partner"],
            inviter=here["box"],
            pair_key=keys.public_keys()[PAIR_DEVICE],
            keys=keys.private_texts(here["keys"]),
            secrets=keys.secret_texts(here["secrets"]),
            file=here["file"],
        )
    except Refused as error:
        raise NotEnrolled(str(error)) from None


def invite(paths: Paths, device: str, minutes: float, welcome: Welcome, show: Callable[[Code], None]) -> None:
    """Shows a code and waits for the box that knows it. Raises NotEnrolled.

    The address at which it waits has a lifetime in the kernel, so nothing stays open however this process ends.
    """
    code = new_code(secrets.randbelow)
    end = time.monotonic() + minutes * 60
    keys = Keys(paths.state)
    with _address(code, device, minutes), _listening(code, device) as listener:
        show(code)
        for attempt in range(ATTEMPTS):
            if _one(listener, end, code, keys, welcome):
                return
            if attempt + 1 < ATTEMPTS:
                print(f"somebody tried another code; attempts left: {ATTEMPTS - attempt - 1}", flush=True)
    raise NotEnrolled("three attempts with wrong codes: this invitation is void; invite again")


@contextmanager
def _address(code: Code, device: str, minutes: float) -> Iterator[None]:
    lifetime = ["valid_lft", str(int(minutes * 60)), "preferred_lft", "0"]
    _ip("address", "replace", f"{code.address}/64", "dev", device, "nodad", *lifetime)
    try:
        yield
    finally:
        with contextlib.suppress(NotEnrolled):
            _ip("address", "delete", f"{code.address}/64", "dev", device)


@contextmanager
def _listening(code: Code, device: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((code.address, ENROLMENT_PORT, 0, socket.if_nametoindex(device)))
        except OSError as error:
            raise NotEnrolled(f"cannot listen on {device}: {error.strerror}; is its cable in?") from None
        listener.listen(1)
        yield listener


def _one(listener: socket.socket, end: float, code: Code, keys: Keys, welcome: Welcome) -> bool:
    """One who knows the code: True. One who tried another: False. Who breaks off before he tried is not counted."""
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise NotEnrolled("nobody came in time: the invitation has expired; invite again")
        listener.settimeout(left)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            channel = Channel(connection, VERSION, code.name, code.password, inviting=True)
            try:
                heard = channel.hear_greeting()
            except Broken:
                continue
            try:
                # From here on it counts: the answer to the greeting is what a guess is tried against.
                channel.greet(heard)
                joining = from_json(Joining, channel.receive())
                if not sound(joining):
                    raise Broken("its key is no key")
                channel.send(to_json(welcome))
                if channel.receive() != {"taken": True}:
                    raise Broken("it did not take what it was given")
                write_whole(keys.keys / f"{PARTNER_KEY}.pub", joining.pair_key.encode() + b"\n", 0o644)
                channel.send({"done": True})
            except (WrongCode, Broken, KeyError, TypeError, ValueError):
                return False
            except Refused as error:
                raise NotEnrolled(str(error)) from None
            return True


# -- the joining box --------------------------------------------------------------------------------------------------


def join(paths: Paths, code: Code) -> tuple[Welcome, Before]:
    """Finds the inviting box, and takes what it gives to disk; also returns what was there before. Raises NotEnrolled,
    when all is as before.

    After a power cut it is to be done again: everything is written whole, and the name of the box last of all.
    """
    keys = Keys(paths.state)
    keys.private_key(PAIR_DEVICE)
    connection = _found(code)
    with connection:
        channel = Channel(connection, VERSION, code.name, code.password, inviting=False)
        try:
            channel.greet()
            channel.send(to_json(Joining(keys.public_keys()[PAIR_DEVICE])))
            welcome = from_json(Welcome, channel.receive())
        except (WrongCode, Broken):
            # Whoever does not know the code is told nothing at all.
            raise NotEnrolled("the other box does not take this code; look at its screen, and try again") from None
        except (KeyError, TypeError, ValueError):
            raise NotEnrolled("the other box runs another version; update it first") from None
        if not sound(welcome):
            raise NotEnrolled("what the other box gave is not whole; nothing was taken")
        before = Before(paths, keys, welcome)
        try:
            _take(paths, keys, welcome)
            channel.send({"taken": True})
            channel.receive()
        except (Refused, WrongCode, Broken) as error:
            before.restore()
            ended = "the connection ended in the middle; invite and join once more"
            raise NotEnrolled(str(error) if isinstance(error, Refused) else ended) from None
    return welcome, before


class Before:
    """The files that joining writes over, as they were: for a box that was at work and cannot do what it was given."""

    def __init__(self, paths: Paths, keys: Keys, welcome: Welcome) -> None:
        written = keys.files(welcome.keys, welcome.secrets)
        written += [keys.keys / f"{PARTNER_KEY}.pub", paths.configuration, paths.box]
        self.files = {path: _read(path) for path in written}

    def restore(self) -> None:
        """Raises NotEnrolled where the disk does not take it."""
        for path, (content, mode) in self.files.items():
            try:
                if content is None:
                    path.unlink(missing_ok=True)
                else:
                    write_whole(path, content, mode)
            except (Refused, OSError) as error:
                raise NotEnrolled(f"what was here before could not be put back: {error}") from None


def _read(path: Path) -> tuple[bytes | None, int]:
    try:
        return path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None, 0


def _found(code: Code) -> socket.socket:
    """Looks on every card for the address of the invitation."""
    end = time.monotonic() + LOOK_SECONDS
    cards = [path.name for path in Path("/sys/class/net").iterdir() if _is_card(path.name)]
    for card in cards:
        with contextlib.suppress(NotEnrolled):
            _ip("link", "set", card, "up")
    while time.monotonic() < end:
        for card in cards:
            candidate = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            candidate.settimeout(CONNECT_SECONDS)
            try:
                candidate.connect((code.address, ENROLMENT_PORT, 0, socket.if_nametoindex(card)))
                return candidate
            except OSError:
                candidate.close()
        time.sleep(0.1)
    raise NotEnrolled(
        "no box with this invitation is found on any cable; are both boxes in the network that failover.pair_link "
        "names, and is the code still shown?"
    )


def _is_card(name: str) -> bool:
    """Ethernet (ARPHRD_ETHER), and none of our tunnels."""
    try:
        return Path(f"/sys/class/net/{name}/type").read_text().strip() == "1" and not name.startswith(TUNNEL_DEVICES)
    except OSError:
        return False


def _take(paths: Paths, keys: Keys, welcome: Welcome) -> None:
    keys.take_private(welcome.keys)
    keys.take_secrets(welcome.secrets)
    write_whole(keys.keys / f"{PARTNER_KEY}.pub", welcome.pair_key.encode() + b"\n", 0o644)
    write_whole(paths.configuration, welcome.file.encode(), 0o600)
    write_whole(paths.box, welcome.box.encode() + b"\n", 0o644)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise NotEnrolled(f"`ip {' '.join(arguments)}`: {done.stderr.strip()}")
