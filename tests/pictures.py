"""The main screens as pictures for the README: `make pictures` writes docs/pictures/*.svg."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.cli.wizard.app import SetupApp
from tests.unit.cli.test_wizard import enter, through
from tests.unit.cli.wizard_world import KEY, PaperWorld

PICTURES = Path(__file__).parents[1] / "docs/pictures"


async def setup_screens() -> None:
    app = SetupApp(PaperWorld())

    def picture(name: str) -> None:
        # An identity of its own in each would make a diff of what has not changed.
        text = app.export_screenshot(title="appliance setup")
        found = text.split("terminal-", 1)[1].split("-", 1)[0]
        (PICTURES / f"{name}.svg").write_text(text.replace(f"terminal-{found}", f"terminal-{name}"), encoding="utf-8")

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


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    asyncio.run(setup_screens())
