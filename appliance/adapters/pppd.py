"""PPPoE sessions: pppd(8) in a unit of its own for each, and what it left about itself below /run/appliance-pppoe.

DEVICE.options is written as any file of ours; beside it stand DEVICE.password (mode 0600, which the options name),
DEVICE.begun (what it was started with) and DEVICE.ended (pppd's exit status; away while the session is up).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from appliance.adapters import systemd
from appliance.adapters.files import write_whole
from appliance.core.pppoe_words import quoted
from appliance.core.state import SESSION_FOLDER, ObservedSession


class Sessions:
    """`root` is / on a running box."""

    def __init__(self, root: Path) -> None:
        self.folder = root / SESSION_FOLDER.lstrip("/")

    def read(self) -> dict[str, ObservedSession]:
        """Every session that has options, by its device. systemd is asked only where there are any."""
        return {
            path.stem: ObservedSession(
                running=systemd.running(systemd.pppoe_unit(path.stem)),
                begun_with=self._text(path.with_suffix(".begun")),
                ended=self.ended(path.stem),
            )
            for path in sorted(self.folder.glob("*.options"))
        }

    def ended(self, device: str) -> int | None:
        """pppd's exit status of the last attempt; None while the session is up, or was not tried yet."""
        text = self._text(self.folder / f"{device}.ended")
        return int(text) if text.isdecimal() else None

    def start(self, device: str, password: str, begun_with: str) -> None:
        """Dials anew, and does not wait for it: a box of a pair that stands still for a quarter of a second believes
        that it missed something. Raises Refused; a session that is there ends first, and the provider is told.

        How the last attempt ended is known on, where nothing has changed since.
        """
        if self._text(self.folder / f"{device}.begun") != begun_with:
            (self.folder / f"{device}.ended").unlink(missing_ok=True)
        write_whole(self.folder / f"{device}.password", f"password {quoted(password)}\n".encode(), 0o600)
        write_whole(self.folder / f"{device}.begun", begun_with.encode(), 0o600)
        systemd.restart_later(systemd.pppoe_unit(device))

    def stop(self, device: str) -> None:
        """Ends the session, and forgets its password. Raises Refused."""
        systemd.stop(systemd.pppoe_unit(device))
        for suffix in ("password", "begun", "ended"):
            (self.folder / f"{device}.{suffix}").unlink(missing_ok=True)

    def stop_later(self, device: str) -> None:
        """Asks for the session's end and does not wait; whoever dials meanwhile begins anew. Raises Refused."""
        (self.folder / f"{device}.begun").unlink(missing_ok=True)
        systemd.stop_later(systemd.pppoe_unit(device))

    def _text(self, path: Path) -> str:
        with contextlib.suppress(OSError):
            return path.read_text().strip()
        return ""
