"""An uplink with nothing but IPv6, one public address, which moves, and a gateway that falls silent for one box.

The drawing stands in tests/labs/pair.py; the standby has no address there but the card's own (fe80::).
"""

from __future__ import annotations

from tests.lab import Lab, wait_for
from tests.labs.dual_stack import ONE_ADDRESS6, DualStack
from tests.labs.pair import pair, prefer_alpha
from tests.labs.test_pair_takeover import unanswered

ONLY_IPV6 = (
    ONE_ADDRESS6.replace("[203.0.113.10/24, ", "[").replace("[203.0.113.1, ", "[").replace("  masquerade: [wan]\n", "")
)
SILENT = "the gateway of wan does not answer"


def test_the_role_goes_to_the_box_that_is_answered(lab: Lab) -> None:
    duo = DualStack(lab, yaml=ONLY_IPV6).build().boot()
    prefer_alpha(duo)
    # The standby knows of its own line, too, before anything happens.
    with unanswered(duo, duo.bravo):
        wait_for(lambda: SILENT in pair(duo.bravo)["notes"], 20, "bravo's gateway is silent")
    wait_for(lambda: SILENT not in pair(duo.bravo)["notes"], 20, "it answers again")
    prefer_alpha(duo)
    with unanswered(duo, duo.alpha):
        wait_for(lambda: pair(duo.bravo).get("role") == "master", 20, "bravo is master")
        assert SILENT in pair(duo.alpha)["not_ready"]
    prefer_alpha(duo)
