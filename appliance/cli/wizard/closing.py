"""What to do when the box is set up."""

from __future__ import annotations

from appliance.core.setup.render import NONE, endpoint
from appliance.core.setup.seen import Answers


def next_steps(answers: Answers, recipient: str) -> list[str]:
    """One line a step, in the order of a person's doing. `recipient` is the age key to which this box's secrets are
    sealed, "" where it has none."""
    lan = answers["lan_address"].split("/")[0]
    found = [f"the office's computers use {lan} as gateway and name server"]
    if answers["pair"] == "first":
        found.append("the second box: `sudo appliance pair invite` here, `appliance setup` there")
    there = f" --endpoint {endpoint(answers)}" if endpoint(answers) else " --endpoint HOST:PORT"
    if answers.get("next") == "colleague":
        found.append(f"a colleague: sudo appliance peer add NAME --allow lan{there}")
    elif answers.get("next") == "site":
        found.append(f"a branch: sudo appliance peer add NAME --site NETWORK --allow lan{there}")
    if answers["admin"] != NONE:
        found.append(f"log in from the office: ssh admin@{lan}")
    if answers["signer"] != NONE:
        found.append("changes from afar: appliance bundle create, docs/bundles.md")
        if recipient:
            found.append(f"secrets in them are sealed to this box: {recipient}")
    return [*found, "change anything: edit /data/appliance/appliance.yaml, then `sudo appliance apply`"]
