"""What to do when the box is set up."""

from __future__ import annotations

from appliance.core.setup import first_peer
from appliance.core.setup.render import NONE
from appliance.core.setup.seen import Answers


def next_steps(answers: Answers, recipient: str, brought_in: bool = False) -> list[str]:
    """One line a step, in the order of a person's doing. `recipient` is the age key to which this box's secrets are
    sealed, "" where it has none; `brought_in` says that the first peer has its keys."""
    lan = answers["lan_address"].split("/")[0]
    found = [
        f"the office's computers use {lan} as gateway and name server; whoever hands out their addresses (DHCP) says "
        "so to them: this box hands out none"
    ]
    if answers["pair"] == "first":
        found.append("the second box: `sudo appliance pair invite` here, `appliance setup` there")
    if brought_in:
        found.append(f"whether {answers['peer']} has come: appliance peer list")
    elif answers.get("next", "nobody") != "nobody":
        who = "a branch" if answers["next"] == first_peer.SITE else "a colleague"
        found.append(f"{who}: sudo appliance {' '.join(first_peer.words(answers))}")
    if answers["admin"] != NONE:
        found.append(f"log in from the office: ssh admin@{lan}")
    if answers["signer"] != NONE:
        found.append("changes from afar: appliance bundle create, docs/bundles.md")
        if recipient:
            found.append(f"secrets in them are sealed to this box: {recipient}")
    return [*found, "change anything: edit /data/appliance/appliance.yaml, then `sudo appliance apply`"]
