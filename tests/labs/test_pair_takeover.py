"""A box dies and the office does not notice. The drawing stands in tests/labs/pair.py."""

from __future__ import annotations

from tests.lab import Lab, Probe, wait_for
from tests.labs.pair import HOST, LAPTOP, Duo, pair


def test_power_cut_of_the_master(lab: Lab) -> None:
    duo = Duo(lab).build().boot()
    assert duo.settled(duo.alpha) is duo.alpha
    duo.laptop.ping(HOST, timeout=20)
    duo.branch.ping(HOST, timeout=20)
    wait_for(lambda: pair(duo.bravo).get("ready"), 20, "bravo could take over")
    with Probe(duo.laptop, duo.host, HOST) as up, Probe(duo.host, duo.laptop, LAPTOP) as down:
        up.flowing(packets=100)
        down.flowing(packets=100)
        duo.alpha.power_cut()
        up.flowing(timeout=20, packets=100)
        down.flowing(timeout=20, packets=100)
    print(f"power cut: laptop→host {up.report}; host→laptop {down.report}")
    assert pair(duo.bravo)["role"] == "master"
    print(pair(duo.bravo)["takeover"])
