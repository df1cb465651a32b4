"""Bundles on the box: judged by a child, remembered, applied as a trial that must prove itself, receipted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.adapters import age, clock
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.adapters.keys import Keys, secret_digest
from appliance.core.bundle import refusals
from appliance.core.bundle.receipt import APPLIED, REFUSED, ROLLED_BACK, Receipt, fields
from appliance.core.bundle.trusted import Damaged, Trusted, by_hand, newer, packed, unpacked
from appliance.core.codec import from_json, to_json
from appliance.core.generations import Generation
from appliance.core.problems import ConfigurationError
from appliance.core.state import Desired
from appliance.core.takeover import Timers
from appliance.shell.paths import Paths
from appliance.supervisor.compiler import ENVIRONMENT
from appliance.supervisor.keeper import ApplyFailed
from appliance.supervisor.time_floor import stored_floor

log = logging.getLogger("appliance.bundles")

SECONDS = 30.0
WITHIN_SECONDS = 90.0
ORIGIN = "bundle "
"""How the origin of a generation that came by a bundle begins."""

KNOWN = {refusals.AlreadyApplied.__name__, refusals.TriedBefore.__name__}
"""What became of the bundle stands in its receipt already."""

type Begin = Callable[[bytes, str], Awaitable[object]]
"""Tries a configuration (bytes, origin) with full proof. Raises ApplyFailed, Refused, ConfigurationError."""


class BundleRefused(Refused):
    """`refusal` is the name of a class of core/bundle/refusals.py."""

    def __init__(self, refusal: str, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal


class Bundles:
    """`confirmed` gives the generation that a boot loads."""

    def __init__(self, paths: Paths, keys: Keys, begin: Begin, confirmed: Callable[[], Generation | None]) -> None:
        self.paths = paths
        self.keys = keys
        self.begin = begin
        self.confirmed = confirmed
        self.note = ""
        self.receipt: dict[str, Any] = {}
        self.lock = asyncio.Lock()

    # -- what is known ------------------------------------------------------------------------------------------------

    def trusted(self) -> Trusted | None:
        """None: nobody's bundles count. Raises Refused where the file is damaged: then none counts either."""
        try:
            return unpacked(self.paths.trusted.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, Damaged):
            raise Refused(
                f"{self.paths.trusted} is damaged, so no bundle is taken; apply a file with `trust:` on the box itself"
            ) from None

    def applied_by_hand(self, desired: Desired) -> None:
        """A person confirmed this on the box: its `trust:` counts from now on."""
        try:
            before = self.trusted()
        except Refused:
            before = None
        after = by_hand(before, desired.site, desired.trust)
        if after != before:
            self._remember(after)
        self.note = ""

    def take(self, text: str) -> None:
        """What the partner knows: no box of a pair forgets a serial that the other has seen."""
        try:
            theirs = unpacked(base64.b64decode(text))
            ours = self.trusted()
        except (Damaged, Refused, ValueError):
            return
        after = newer(ours, theirs)
        if after != ours:
            self._remember(after)

    def shared(self) -> str:
        """For the partner; "" when there is nothing to know."""
        try:
            return base64.b64encode(self.paths.trusted.read_bytes()).decode()
        except OSError:
            return ""

    def _remember(self, trusted: Trusted | None) -> None:
        if trusted is None:
            self.paths.trusted.unlink(missing_ok=True)
        else:
            write_whole(self.paths.trusted, packed(trusted), 0o600)

    def recipient(self) -> str:
        """To which secrets for this box are sealed; "" where age is not installed."""
        try:
            return age.recipient(self.paths.age_identity)
        except Refused as error:
            log.warning("%s", error)
            return ""

    # -- one bundle ---------------------------------------------------------------------------------------------------

    async def apply(self, content: bytes, box: str, unattended: bool = False) -> dict[str, Any]:
        """Believes, remembers, tries and receipts. Raises Refused or ApplyFailed with the sentence.

        `unattended`: no person asked for it, so what was rolled back is not tried again and again.
        """
        async with self.lock:
            known = self.trusted()
            try:
                believed = await self._believe(content, known, box)
                origin = f"{ORIGIN}{believed['serial']} ({believed['digest'][:16]}), signed by "
                origin += ", ".join(believed["signers"])
                confirmed = self.confirmed()
                if confirmed and confirmed.origin == origin:
                    reason = f"it runs already, as generation {confirmed.number}"
                    raise BundleRefused(refusals.AlreadyApplied.__name__, reason)
                tried = (self.receipt.get("bundle"), self.receipt.get("outcome"))
                if unattended and tried == (believed["digest"], ROLLED_BACK):
                    reason = "it was tried before and rolled back; make another, or apply it by hand"
                    raise BundleRefused(refusals.TriedBefore.__name__, reason)
                # A roll-back must find the secrets that the configuration before it had.
                self._secrets(believed["secrets"], believed["needs"])
            except BundleRefused as error:
                if error.refusal not in KNOWN:
                    name = hashlib.sha256(content).hexdigest()
                    await self._write(known, box, name, 0, REFUSED, str(error), error.refusal)
                raise
            self._remember(from_json(Trusted, believed["trusted"]))
            self.keys.take_secrets(believed["secrets"])
            return await self._try(believed, known, box, origin)

    async def _try(self, believed: dict[str, Any], known: Trusted | None, box: str, origin: str) -> dict[str, Any]:
        digest, serial = believed["digest"], believed["serial"]
        try:
            await self.begin(believed["configuration"].encode(), origin)
        except ConfigurationError as error:
            why = error.problems[0].line("configuration")
        except (ApplyFailed, Refused) as error:
            why = str(error)
        else:
            await self._write(known, box, digest, serial, APPLIED, "")
            return {"receipt": self.receipt}
        await self._write(known, box, digest, serial, ROLLED_BACK, why)
        raise ApplyFailed(f"bundle {serial} was believed, and did not stay: {why}")

    async def judge(self, content: bytes, box: str) -> dict[str, Any]:
        """What the box would say, without doing anything. Raises BundleRefused."""
        believed = await self._believe(content, self.trusted(), box)
        self._secrets(believed["secrets"], believed["needs"])
        return {key: believed[key] for key in ("digest", "serial", "signers")}

    async def _believe(self, content: bytes, known: Trusted | None, box: str) -> dict[str, Any]:
        found = clock.read()
        # The floor on disk is written ahead of time by so much.
        floor = max(0.0, stored_floor(self.paths) - Timers().floor_ahead)
        answer = await self._ask(
            {
                "do": "believe",
                "file": base64.b64encode(content).decode(),
                "known": to_json(known) if known else None,
                "box": box,
                "clock": {"wall": found.wall, "floor": floor, "trusted": found.trusted},
                "identity": str(self.paths.age_identity),
            }
        )
        if "refused" in answer:
            raise BundleRefused(answer["refused"]["class"], answer["refused"]["text"])
        return dict(answer["believed"])

    def _secrets(self, secrets: dict[str, str], needs: list[str]) -> None:
        here = self.keys.digests().texts
        if missing := [name for name in needs if name not in here and name not in secrets]:
            raise BundleRefused(
                refusals.SecretMissing.__name__,
                f"the secret {missing[0]} is neither on this box nor in the bundle; seal it into it: "
                f"--secret {missing[0]}=FILE",
            )
        for name, value in secrets.items():
            if here.get(name, secret_digest(value)) != secret_digest(value):
                raise BundleRefused(
                    refusals.SecretChanged.__name__,
                    f"the secret {name} has another value on this box; give the new one a new name, such as {name}-2, "
                    "so that a roll-back finds the old one",
                )

    # -- receipts -----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """The last receipt; and one for a bundle whose trial a power cut ended."""
        self.receipt = self._stored()
        try:
            known = self.trusted()
        except Refused as error:
            self.note = str(error)
            return
        if known is None or not known.digest or self.receipt.get("bundle") == known.digest:
            return
        if self.receipt.get("outcome") == REFUSED and float(self.receipt.get("serial", 0)) == 0:
            return
        box = self.paths.box_name() or ""
        confirmed = self.confirmed()
        stays = confirmed is not None and known.digest[:16] in confirmed.origin
        why = "" if stays else "the box stopped while it was being tried"
        await self._write(known, box, known.digest, known.serial, APPLIED if stays else ROLLED_BACK, why)

    def _stored(self) -> dict[str, Any]:
        """For showing only; what cannot be read is as good as none."""
        try:
            text = self.paths.receipt.read_text()
        except (OSError, ValueError):
            return {}
        return fields(text.partition("payload: |\n")[2].replace("\n  ", "\n").removeprefix("  "))

    async def _write(
        self, known: Trusted | None, box: str, digest: str, serial: int, outcome: str, why: str, refusal: str = ""
    ) -> None:
        """One file, the last one. The same refusal of the same bytes is not written again: nobody wears out a disk."""
        if outcome == REFUSED and (self.receipt.get("bundle"), self.receipt.get("refusal")) == (digest, refusal):
            return
        confirmed = self.confirmed()
        number = confirmed.number if confirmed else 0
        receipt = Receipt(known.site if known else "", box, digest, serial, outcome, time.time(), number, refusal, why)
        log.info("bundle %s: %s %s", digest[:16], outcome, why, extra={"BUNDLE": digest, "OUTCOME": outcome})
        try:
            request = {"do": "receipt", "receipt": to_json(receipt), "key": str(self.paths.signing_key)}
            answer = await self._ask(request)
            write_whole(self.paths.receipt, answer["receipt"].encode(), 0o644)
        except (Refused, KeyError) as error:
            log.error("the receipt could not be written: %s", error)
        self.receipt = self._stored()

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", "appliance.judge", stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await child.communicate(json.dumps(request).encode())
            answer = json.loads(output)
        except TimeoutError:
            child.kill()
            await child.wait()
            raise BundleRefused(refusals.NotABundle.__name__, "judging it took too long; is it a bundle?") from None
        except ValueError:
            reason = f"it cannot be judged (exit {child.returncode})"
            raise BundleRefused(refusals.NotABundle.__name__, reason) from None
        if "error" in answer:
            raise Refused(str(answer["error"]))
        return dict(answer)
