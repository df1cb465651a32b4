"""The part of a plan that is about PPPoE sessions: pppd's options written, and pppd running with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from appliance.core.state import SESSION_FOLDER, Desired, Observed, PppSession
from appliance.core.steps import StartSession, Step, StopSession, WriteFile

Change = tuple[Step, ...]
"""A step, and then those that take it back."""


def begun_with(options: str, password: str) -> str:
    """What a session is known by: the digest of its options and of its password's digest."""
    return hashlib.sha256(f"{options}\0{password}".encode()).hexdigest()[:24]


def missing(desired: Desired, observed: Observed) -> Iterator[str]:
    """Of each session whose password is not on this box, the sentence that says so."""
    for session in desired.sessions:
        if session.password not in observed.passwords:
            yield (
                f"{session.name} does not dial: its password {session.password} is not on this box; "
                f"write it to /data/appliance/secrets/{session.password} (mode 0600), then `appliance apply`"
            )


def changes(desired: Desired, observed: Observed, previous: Desired | None, muted: bool) -> Iterator[Change]:
    """What goes away, then what is dialled. `muted`: the other box has the sessions."""
    before = {session.device: session for session in (previous.sessions if previous else ())}
    wanted = {session.device: session for session in desired.sessions}
    for device, now in sorted(observed.sessions.items()):
        path = _options(device)
        # Without a word of what it was begun with, it is being ended already (adapters/pppd.py, stop_later).
        if device in wanted and not (muted and now.running and now.begun_with):
            continue
        again = _start(before[device].password, device, observed) if device in before else None
        if now.running:
            yield StopSession(device), *((again,) if again and not muted else ())
        if device not in wanted:
            yield WriteFile(path, None), WriteFile(path, observed.files.get(path))
    for session in desired.sessions:
        yield from _session(session, desired, observed, before.get(session.device), muted)


def hang_up(parent: str, desired: Desired, observed: Observed, previous: Desired | None) -> Iterator[Change]:
    """Of the sessions over `parent`, before it goes: the provider is told, who might refuse another one."""
    for session in {one.device: one for one in (*(previous.sessions if previous else ()), *desired.sessions)}.values():
        now = observed.sessions.get(session.device)
        if session.parent == parent and now and now.running:
            again = _start(session.password, session.device, observed)
            yield StopSession(session.device), *((again,) if again else ())


def _session(
    session: PppSession, desired: Desired, observed: Observed, before: PppSession | None, muted: bool
) -> Iterator[Change]:
    path, device, now = session.options, session.device, observed.sessions.get(session.device)
    options, written = desired.files[path], observed.files.get(path)
    start = _start(session.password, device, observed, options)
    back: list[Step] = []
    if start and not muted and not (now and now.running and now.begun_with == start.begun_with):
        again = _start(before.password, device, observed, written) if before and now and now.running else None
        # Taken back in reverse: the file first, then the dialling.
        back = [again or StopSession(device)]
    if written != options:
        yield WriteFile(path, options), WriteFile(path, written), *back
        back = []
    if start and not muted and not (now and now.running and now.begun_with == start.begun_with):
        yield start, *back


def _start(secret: str, device: str, observed: Observed, options: str | None = None) -> StartSession | None:
    text = observed.files.get(_options(device)) if options is None else options
    password = observed.passwords.get(secret)
    return None if password is None or text is None else StartSession(device, secret, begun_with(text, password))


def _options(device: str) -> str:
    return f"{SESSION_FOLDER}/{device}.options"
