"""What a box tells and gives the other one in an update of both (core/turns.py); a unit of its own does the work."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.adapters import systemd
from appliance.adapters.errors import Refused
from appliance.core.codec import from_json
from appliance.core.proof import GATEWAY, PEER, Fact
from appliance.shell import turns
from appliance.shell.paths import Paths

log = logging.getLogger("appliance.turns")

PART_BYTES = 512 << 10
"""Of an update, in one answer: what the supervisor does besides waits some milliseconds for it."""

type Prove = Callable[[dict[str, Any]], Awaitable[tuple[str, ...]]]
"""The facts, as a request of `proving.after_restart`; what is missing."""


class Turns:
    """`busy` says why no update may begin now, "" when one may; `prove` looks for facts, and `hand_back` gives the role
    away."""

    def __init__(self, paths: Paths, busy: Callable[[], str], prove: Prove, hand_back: Callable[[], object]) -> None:
        self.paths = paths
        self.busy = busy
        self.prove = prove
        self.hand_back = hand_back

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The other box asks."""
        match request.get("do"):
            case "offer":
                return self._offered(request)
            case "side":
                side = turns.read(self.paths)
                return {"id": side.id, "stand": side.stand, "why": side.why} if side else {}
            case "part":
                return self._part(int(request["offset"]))
            case "prove":
                return await self._proved(request)
            case other:
                return {"error": f"it does not know {other!r}; both boxes should run the same version"}

    def _offered(self, request: dict[str, Any]) -> dict[str, Any]:
        side = turns.understood(request.get("side"))
        if side is None:
            return {"error": "it does not understand the update; both boxes should run the same version"}
        running = turns.read(self.paths)
        if running and not running.over:
            return {"error": "an update of both boxes is under way already; see `appliance update status`"}
        try:
            if why := self.busy():
                return {"error": why}
            turns.begin(self.paths, side)
            systemd.start_later(turns.UNIT)
        except Refused as error:
            turns.forget(self.paths)
            return {"error": str(error)}
        log.info("an update of both boxes begins: version %s", side.version)
        return {}

    def _part(self, offset: int) -> dict[str, Any]:
        try:
            with self.paths.turn_bundle.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = os.pread(file.fileno(), PART_BYTES, offset)
        except OSError:
            return {"error": "the update is not there any more"}
        return {"size": size, "data": base64.b64encode(data).decode()}

    async def _proved(self, request: dict[str, Any]) -> dict[str, Any]:
        """Whether this box, master now, does what the other one did. It hands the role back where it does not."""
        facts = [each for each in request["facts"] if from_json(Fact, each).kind in (GATEWAY, PEER)]
        missing = await self.prove({"facts": facts, "seconds": float(request["seconds"])})
        if missing:
            self.hand_back()
        return {"missing": list(missing)}
