"""Looks whether what worked before works again: provokes answers until all was seen, or the asker has enough.

Trials ask after a change of the configuration; a system that was updated asks after its first boot.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from appliance.core.codec import from_json
from appliance.core.plan import plan
from appliance.core.proof import MANAGEMENT, PARTNER, PEER, Expected, Fact, Readings, expected, proven, worked
from appliance.core.state import Observed
from appliance.shell import proof
from appliance.supervisor.keeper import Keeper

ASK_AGAIN_SECONDS = 1.0
LOOK_SECONDS = 0.1

type Read = Callable[[Observed, tuple[str, int] | None], Readings]


async def look(
    keeper: Keeper,
    read: Read,
    wanted: Expected,
    administrator: tuple[str, int] | None,
    missing: Callable[[], tuple[Fact, ...]],
    seen: Callable[[set[Fact]], None],
) -> None:
    """Tells `seen` what was proven, until nothing is `missing`; without end, where it never is."""
    start = time.monotonic()
    began = read(keeper.observe(), None)
    ask_at = 0.0
    while facts := missing():
        now = time.monotonic()
        observed = keeper.observe()
        if now >= ask_at:
            proof.provoke(wanted, facts, keeper.machine, observed)
            ask_at = now + ASK_AGAIN_SECONDS
            await asyncio.sleep(0.01)
        readings = read(observed, administrator)
        if news := {fact for fact in missing() if proven(fact, wanted, began, readings)}:
            seen(news)
        if missing():
            await asyncio.sleep(LOOK_SECONDS if now < start + 2 else 5 * LOOK_SECONDS)


def works(keeper: Keeper, read: Read, administrator: tuple[str, int] | None) -> tuple[Fact, ...]:
    """What works now and can be asked for after a restart.

    A peer that only ever calls by itself is among it where it has a network behind it: a branch does not go away, but a
    laptop may be closed while the box restarts. The box calls both at where they were last (whereabouts.py).
    """
    desired = keeper.desired
    if desired is None:
        return ()
    facts = worked(desired, read(keeper.observe(), administrator), administrator, keeper.role.muted)
    stay = {
        peer.public_key
        for tunnel in desired.tunnels
        for peer in tunnel.peers
        if peer.endpoint or any(ip_network(each).num_addresses > 1 for each in peer.allowed_ips)
    }
    return tuple(fact for fact in facts if fact.kind != PEER or fact.public_key in stay)


async def after_restart(keeper: Keeper, read: Read, request: dict[str, Any]) -> tuple[str, ...]:
    """What is missing of the facts in `request` (core/updates.py) after its `seconds` at most, in sentences.

    Who was master and is standby now is not asked for what only a master has.
    """
    facts = tuple(from_json(Fact, each) for each in request["facts"])
    shown: set[Fact] = set()
    trouble: tuple[str, ...] = ("the supervisor has looked at nothing yet",)

    def missing() -> tuple[Fact, ...]:
        left = tuple(fact for fact in facts if fact not in shown)
        return tuple(fact for fact in left if fact.kind in (PARTNER, MANAGEMENT)) if excused() else left

    # Nobody could say how it was before, where there was no configuration, or no supervisor to ask.
    missed_file = ("it does not use the configuration",) if request["configured"] else ()

    def fresh() -> tuple[str, ...]:
        found = differs(keeper) if request["configured"] else ()
        return tuple(each for each in found if each not in request["differs"])

    def excused() -> bool:
        return keeper.role.muted and not request["muted"]

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(float(request["seconds"])):
            while trouble:
                desired = keeper.desired
                trouble = fresh() if desired else missed_file
                if desired and not trouble:
                    wanted = expected(facts, desired)
                    facts = wanted.facts
                    by = next(((fact.name, fact.port) for fact in facts if fact.kind == MANAGEMENT), None)
                    await look(keeper, read, wanted, by, missing, shown.update)
                    trouble = fresh()
                await asyncio.sleep(10 * LOOK_SECONDS if trouble else 0)
    return (*trouble, *(f"not seen: {fact}" for fact in missing()))


def differs(keeper: Keeper) -> tuple[str, ...]:
    """What is not as the configuration says, now: a card that is missing is no fault of an update."""
    desired = keeper.desired
    if desired is None:
        return ()
    todo = plan(desired, keeper.observe(), desired, role=keeper.role)
    return (*keeper.failures, *(f"not done: {step}" for step in todo.steps))
