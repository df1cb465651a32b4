"""Both boxes of a pair with one configuration: a trial is one for both, and who was away catches up.

The higher generation goes. What is passed on is what both have in common: the file, the keys of the tunnels that move,
and the secrets that the file names. A box's name and the key of its end of the pair link are its own and stay.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from appliance import __version__
from appliance.adapters import pair_stream
from appliance.adapters.errors import Refused
from appliance.adapters.keys import Keys
from appliance.core.generations import Damaged, Generation, packed, unpacked
from appliance.core.pair.names import PAIR_DEVICE, PROTOCOL_PORT
from appliance.core.problems import ConfigurationError
from appliance.core.state import Desired, Pair
from appliance.core.takeover.hello import Hello
from appliance.supervisor.bundles import Bundles
from appliance.supervisor.keeper import ApplyFailed
from appliance.supervisor.trials import PARTNER_GRACE_SECONDS, Trials, boot_id
from appliance.supervisor.turns import Turns

log = logging.getLogger("appliance.step")

BEGIN_SECONDS = 60.0
SHORT_SECONDS = 5.0
CATCH_UP_SECONDS = 90.0
AGAIN_SECONDS, AGAIN_MOST_SECONDS = 120.0, 3600.0
"""After so long a standby tries again what did not work on it, doubling: a cable may have been out, a line down."""


class Step:
    """This box's side. `heard` gives the partner's last hello while it lives, None otherwise."""

    def __init__(
        self,
        pair: Pair,
        trials: Trials,
        keys: Keys,
        bundles: Bundles,
        turns: Turns,
        heard: Callable[[], Hello | None],
    ) -> None:
        self.pair = pair
        self.name = pair.partner
        self.trials = trials
        self.keys = keys
        self.bundles = bundles
        self.turns = turns
        self.heard = heard
        self.server = pair_stream.PairServer(pair.own, pair.partner_address, PROTOCOL_PORT, self._answer)
        self.catching_up: asyncio.Task[None] | None = None
        self.refused: tuple[int, str] = (0, "")
        self.again_at = float("inf")
        self.again_after = AGAIN_SECONDS
        self.note = ""

    async def start(self) -> None:
        await self.server.start()

    def close(self) -> None:
        self.server.close()
        if self.catching_up:
            self.catching_up.cancel()

    # -- this box asks ------------------------------------------------------------------------------------------------

    @property
    def present(self) -> bool:
        return self.heard() is not None

    @property
    def generation(self) -> int:
        hello = self.heard()
        return hello.generation if hello else 0

    @property
    def digest(self) -> str:
        hello = self.heard()
        return hello.digest if hello else ""

    async def begin(self, generation: Generation, desired: Desired) -> None:
        """Has the partner try it. Raises ApplyFailed with its reason."""
        request = {"verb": "begin", "generation": _encoded(generation), **self._shared(desired)}
        try:
            answer = await self._ask(request, BEGIN_SECONDS)
        except Refused as error:
            raise ApplyFailed(f"{self.name}: {error}; nothing was changed") from None
        if "error" in answer:
            raise ApplyFailed(f"{self.name}: {answer['error']}")

    async def unproven(self, trial: str) -> tuple[str, ...]:
        """What the partner misses since the trial began."""
        try:
            answer = await self._ask({"verb": "unproven", "trial": trial}, SHORT_SECONDS)
            return tuple(f"{self.name}: {each}" for each in answer["unproven"])
        except (Refused, KeyError, TypeError):
            return (f"{self.name} answers",)

    async def end(self, trial: str, confirm: bool, why: str) -> None:
        """Tells the partner; one that does not hear it goes back at its own deadline, and catches up."""
        try:
            await self._ask({"verb": "end", "trial": trial, "confirm": confirm, "why": why}, BEGIN_SECONDS)
        except Refused as error:
            log.warning("%s was not told that the trial is over: %s", self.name, error)

    async def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        return await pair_stream.ask(self.pair.own, self.pair.partner_address, PROTOCOL_PORT, request, seconds)

    def _shared(self, desired: Desired) -> dict[str, Any]:
        moving = [tunnel for tunnel in desired.tunnels if tunnel.moves]
        secrets = {peer.preshared_key for tunnel in moving for peer in tunnel.peers if peer.preshared_key}
        secrets |= {session.password for session in desired.sessions}
        return {
            "keys": self.keys.private_texts(tunnel.key for tunnel in moving),
            "secrets": self.keys.secret_texts(secrets),
            "trusted": self.bundles.shared(),
        }

    # -- the partner asks ---------------------------------------------------------------------------------------------

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("verb"):
            case "begin":
                return await self._begin(request)
            case "unproven":
                trial = self.trials.trial
                if trial is None or trial.generation.trial != request["trial"]:
                    return {"unproven": ["the trial runs"]}
                return {"unproven": [str(fact) for fact in trial.unproven]}
            case "end":
                await self.trials.told(str(request["trial"]), bool(request["confirm"]), str(request["why"]))
                return {}
            case "generation":
                confirmed = self.trials.confirmed
                if confirmed is None or self.trials.current is None:
                    return {"error": "it has no configuration"}
                if self.trials.trial:
                    return {"later": "a trial is running"}
                return {"generation": _encoded(confirmed), **self._shared(self.trials.current)}
            case "update":
                return await self.turns.answer(request)
            case other:
                return {"error": f"it does not know {other!r}; both boxes should run the same version"}

    async def _begin(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.trials.lock.locked():
            # Two people, one at each box: neither shall wait for the other.
            return {"error": "it is busy with a change of its own; try again in a moment"}
        try:
            generation = self._taken(request)
            generation = replace(generation, within=generation.within + PARTNER_GRACE_SECONDS)
            await self.trials.begin(generation.content, generation.origin, generation.within, given=generation)
        except ConfigurationError as error:
            return {"error": error.problems[0].line("appliance.yaml")}
        except (ApplyFailed, Refused, Damaged) as error:
            return {"error": str(error)}
        return {}

    def _taken(self, answer: dict[str, Any]) -> Generation:
        """The generation that the partner sent; its keys and secrets are on this box then."""
        generation = unpacked(base64.b64decode(answer["generation"]))
        keys = {str(name): str(text) for name, text in answer["keys"].items() if name != PAIR_DEVICE}
        self.keys.take_private(keys)
        self.keys.take_secrets({str(name): str(text) for name, text in answer["secrets"].items()})
        self.bundles.take(str(answer.get("trusted", "")))
        # It is to run on this box's system, whichever made it.
        return replace(generation, boot=boot_id(), system=__version__)

    # -- catching up --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """The partner has spoken: whether it is ahead."""
        hello = self.heard()
        confirmed = self.trials.confirmed
        own = confirmed.number if confirmed else 0
        if hello is None or hello.generation <= own:
            self.note = ""
            return
        busy = self.trials.trial is not None or self.trials.lock.locked()
        if busy or (self.catching_up and not self.catching_up.done()):
            return
        # Never a master: what it serves with is not put on trial without anybody's asking.
        again = time.monotonic() >= self.again_at and self.trials.keeper.role.muted
        if (hello.generation, hello.digest) != self.refused or again:
            self.catching_up = asyncio.create_task(self._catch_up(hello))

    async def _catch_up(self, hello: Hello) -> None:
        try:
            answer = await self._ask({"verb": "generation"}, BEGIN_SECONDS)
            if "later" in answer:
                return  # its hello asks again
            if "error" in answer:
                raise ApplyFailed(str(answer["error"]))
            generation = self._taken(answer)
            generation = replace(generation, within=CATCH_UP_SECONDS)
            await self.trials.begin(
                generation.content, generation.origin, CATCH_UP_SECONDS, auto=True, given=generation
            )  # fmt: skip
        except Refused as error:
            log.info("%s is ahead, and %s", self.name, error)  # asked again with the next hello
        except ConfigurationError as error:
            # This box's system and its cards say so, and they do not change their mind.
            self._cannot(hello, error.problems[0].line("appliance.yaml"), float("inf"))
        except (ApplyFailed, Damaged, KeyError, TypeError, ValueError, AttributeError) as error:
            self._cannot(hello, str(error), self.again_after)
            self.again_after = min(2 * self.again_after, AGAIN_MOST_SECONDS)
        else:
            self.note, self.again_after = "", AGAIN_SECONDS
            log.info("caught up with %s: generation %d", self.name, generation.number)

    def _cannot(self, hello: Hello, why: str, seconds: float) -> None:
        """Another generation is tried at once, this one after so many seconds."""
        self.refused, self.again_at = (hello.generation, hello.digest), time.monotonic() + seconds
        self.note = f"{self.name} has generation {hello.generation}, which does not run here: {why}"
        log.error("%s", self.note)


def _encoded(generation: Generation) -> str:
    return base64.b64encode(packed(generation)).decode()
