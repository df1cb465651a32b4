"""The main screens as pictures for the README: `make pictures` writes docs/pictures/*.svg."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from textual.app import App
from textual.widgets import Static

from appliance.cli.watching.app import WatchApp
from appliance.cli.watching.lines import head
from appliance.cli.wizard.app import SetupApp
from tests.unit.cli.test_wizard import enter, through
from tests.unit.cli.wizard_world import KEY, PaperWorld
from tests.unit.status.answers import pair

PEERS = (
    ("geneva", "up", 12.0, 4000),
    ("basel", "up", 71.0, 300),
    ("alice", "idle", 5400.0, 0),
    ("bob", "never seen", None, 0),
)
PICTURES = Path(__file__).parents[1] / "docs/pictures"


def kept(app: App[int], title: str, name: str) -> None:
    # An identity of its own in each would make a diff of what has not changed.
    text = app.export_screenshot(title=title)
    found = text.split("terminal-", 1)[1].split("-", 1)[0]
    (PICTURES / f"{name}.svg").write_text(text.replace(f"terminal-{found}", f"terminal-{name}"), encoding="utf-8")


async def setup_screens() -> None:
    app = SetupApp(PaperWorld())

    def picture(name: str) -> None:
        kept(app, "appliance setup", name)

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        for answer in (None, "zurich", "alpha"):
            await enter(app, pilot, answer)
        picture("setup-uplink")
        await through(app, pilot, admin="anna", admin_key=f"{KEY} anna@laptop", reached_at="office.example.net")
        await enter(app, pilot, "")
        await pilot.pause()
        picture("setup-review")
        await enter(app, pilot)
        await pilot.pause()
        picture("setup-trial")
        await enter(app, pilot)
        await pilot.pause()
        picture("setup-done")


async def code_screen() -> None:
    """The first colleague's, on a screen that has room for it."""
    app = SetupApp(PaperWorld())
    async with app.run_test(size=(80, 43)) as pilot:
        await pilot.pause()
        who = {"admin": "anna", "admin_key": f"{KEY} anna@laptop", "peer": "anna-phone"}
        await through(app, pilot, site="zurich", reached_at="office.example.net", **who)
        for text in ("", None, None):
            await enter(app, pilot, text)
        await pilot.pause()
        kept(app, "appliance setup", "setup-code")


async def watch_screen() -> None:
    app = WatchApp(lambda: office(0), office(0), every=60)
    async with app.run_test(size=(80, 24)) as pilot:
        now = app.rates.at
        for moment in range(1, 14):
            app.rates.take(office(moment), now + moment)
        app.show(office(13), "")
        app.query_one("#head", Static).update(f"{head(app.last):<69} 12:00:00")
        await pilot.pause()
        kept(app, "appliance status --watch", "status-watch")


def office(moment: int) -> dict[str, Any]:
    """A pair with four peers, so many seconds on."""
    found = pair(0.0)
    tunnel = found["tunnels"][0]
    there = next(each for each in tunnel["peers"] if each["name"] == "office.geneva")
    tunnel["peers"] = []
    found["interfaces"].append({**found["interfaces"][0], "name": "lan", "addresses": ["192.168.10.1/24"]})
    for name, state, age, pace in PEERS:
        count = sum(pace * (10 + step * step % 17) for step in range(moment)) if state == "up" else 0
        peer = {"name": f"office.{name}", "state": state, "last_seen_seconds": age}
        tunnel["peers"].append({**there, **peer, "received_bytes": count, "sent_bytes": count // 3})
    return found


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    # Times of day are the same wherever it is drawn.
    os.environ["TZ"] = "UTC"
    time.tzset()
    asyncio.run(setup_screens())
    asyncio.run(code_screen())
    asyncio.run(watch_screen())
