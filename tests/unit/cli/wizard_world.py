"""A box that is not there: what the wizard's screens are shown on in unit tests and in the README's pictures."""

from __future__ import annotations

from typing import Any

from appliance.cli.failure import Failure
from appliance.cli.peer_qr import lines
from appliance.cli.wizard.world import World
from appliance.core.desired import compile_box
from appliance.core.plan import plan, shown
from appliance.core.setup.outside import leads_here
from appliance.core.setup.seen import Answers, Card
from appliance.core.state import Observed, ObservedLink

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3fEbmzmeXY4yGRxz3lYHbJJbxGKJyGQXQqDRGNYtBh"

FILE = "".join(f"{key} = {'x' * 44}\n" for key in ("PrivateKey", "PublicKey", "PresharedKey", "Address", "AllowedIPs"))
"""As long as a colleague's file."""


class PaperWorld(World):
    """Two cards with their cables in; a router that gives an address; a stick with anna's key."""

    def __init__(self, answers: Answers | None = None, named: str = "") -> None:
        self.by_ssh, self.named, self.offered = False, named, ""
        self.cards_in = ("enp1s0", "enp2s0")
        self.answers = dict(answers or {})
        self.out: set[str] = set()
        self.gives = "10.20.0.57/24"
        self.done: list[str] = []
        self.refuses = ""
        self.leads_to = ("203.0.113.2",)
        self.takes_passwords = True
        self.stands = "trial"
        self.invited = "417-2930-5599"
        self.stick_in = True
        self.not_brought_in: Failure | None = None
        self.concentrator = False

    def cards(self) -> tuple[Card, ...]:
        return tuple(Card(device, device not in self.out) for device in self.cards_in)

    def kept(self) -> tuple[Answers, str]:
        return dict(self.answers), self.offered

    def keep(self, answers: Answers, offered: str) -> None:
        self.answers, self.offered = dict(answers), offered

    def undo(self) -> None:
        self.done.append("undo")

    def try_dhcp(self, device: str) -> str:
        return self.gives

    def hears_pppoe(self, device: str) -> bool:
        return self.concentrator

    def try_pppoe(self, device: str, user: str, password: str) -> tuple[str, str]:
        refused = "the provider refuses the user name or the password"
        return ("", refused) if password == "wrong" else (self.gives, "")

    def try_gateway(self, device: str, address: str, gateway: str) -> bool:
        return bool(self.gives)

    def sticks(self) -> dict[str, str]:
        return {"anna.pub": f"{KEY} anna@laptop"}

    def plan(self, answers: Answers, text: str) -> dict[str, Any]:
        desired = compile_box(text.encode(), answers["box"])
        cards = {link.device: ObservedLink(link.device, "", True, True, 1500) for link in desired.links}
        return shown(plan(desired, Observed(links=cards, sysctls=dict.fromkeys(desired.sysctls, "0"))))

    def apply(self, answers: Answers, text: str) -> dict[str, Any]:
        if self.refuses:
            raise Failure(self.refuses)
        self.done.append("apply")
        return {**self.plan(answers, text), "trial": {"seconds_left": 300, "works": ["the gateway answers"],
                                                      "not_seen_yet": []}}  # fmt: skip

    def outside(self, answers: Answers) -> str:
        return leads_here(answers, self.leads_to, ["203.0.113.2"])

    def confirm(self) -> None:
        self.done.append("confirm")

    def standing(self) -> str:
        return self.stands

    def give_back(self) -> None:
        self.done.append("give back")

    def join(self, code: str) -> str:
        if code != self.invited:
            raise Failure("the other box does not take this code; look at its screen, and try again")
        self.done.append("join")
        return "this is bravo of zurich now"

    def password(self, text: str) -> None:
        if not self.takes_passwords:
            raise Failure("the password was not taken; choose another one")
        self.done.append("password")

    def recipient(self) -> str:
        return "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

    def first_peer(self, answers: Answers, room: tuple[int, int]) -> list[str]:
        if self.not_brought_in:
            raise self.not_brought_in
        code = lines(FILE, room)
        self.done.append("first peer")
        return code

    def first_peer_to_stick(self, answers: Answers) -> list[str]:
        if not self.stick_in:
            raise Failure("no stick that takes files is found; put one in")
        self.done.append("first peer to a stick")
        return [f"{answers['peer']}.conf"]

    def finish(self) -> None:
        self.done.append("finish")
        self.answers = {}
