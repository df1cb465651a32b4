"""VLANs: `device: enp1s0.20` is made on its card, set up like any other device, and goes when nobody names it."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.desired import compile_box
from appliance.core.plan import plan
from appliance.core.state import VLAN_ALIAS, Observed, ObservedLink, Vlan, nothing
from appliance.core.steps import AddVlan, DeleteLink, LoadRuleset
from appliance.core.vlans import vlan_of

TEXT = """\
version: 1
site: zurich
boxes:
  alpha:
    interfaces:
      wan: {device: enp1s0.7, address: 203.0.113.2/24, gateway: 203.0.113.1}
      lan: {device: enp2s0, address: 192.168.10.1/24}
      guests: {device: enp2s0.20, address: 192.168.20.1/24}
firewall:
  allow:
    - {from: guests, to: wan}
"""
DESIRED = compile_box(TEXT.encode(), None)
CARDS = {name: ObservedLink(name, "", True, True, 1500) for name in ("enp1s0", "enp2s0")}
MADE = {
    name: ObservedLink(name, "vlan", True, True, 1500, VLAN_ALIAS, parent=name.split(".")[0])
    for name in ("enp1s0.7", "enp2s0.20")
}


def steps(links: dict[str, ObservedLink], desired=DESIRED) -> list[object]:  # type: ignore[no-untyped-def]
    found = plan(desired, Observed(links=links, flow_offload=True)).steps
    return [step for step in found if isinstance(step, AddVlan | DeleteLink)]


def test_a_name_says_the_card_and_the_number() -> None:
    assert vlan_of("enp1s0.7") == Vlan("enp1s0.7", "enp1s0", 7)
    assert [vlan_of(name) for name in ("enp1s0", "enp1s0.", ".7", "enp1s0.x7", "enp1s0.70000")] == [None] * 5


def test_what_is_not_there_is_made_on_its_card_when_the_card_is_there() -> None:
    both = [AddVlan("enp1s0.7", "enp1s0", 7), AddVlan("enp2s0.20", "enp2s0", 20)]
    assert steps(CARDS) == both
    assert steps({"enp2s0": CARDS["enp2s0"]}) == both[1:]
    assert steps(CARDS | MADE) == []
    # Somebody else's is used as it is, and is not ours to remove.
    theirs = {name: replace(link, alias="") for name, link in MADE.items()}
    assert steps(CARDS | theirs) == []
    assert steps(CARDS | theirs, nothing(DESIRED, files=False)) == []


def test_what_nobody_names_any_more_goes_and_comes_back_with_the_file_before() -> None:
    less = compile_box(TEXT.replace("enp1s0.7", "enp1s0").encode(), None)
    found = plan(less, Observed(links=CARDS | MADE), DESIRED)
    away = next(each for each in found.planned if each.step == DeleteLink("enp1s0.7"))
    assert away.undo == (AddVlan("enp1s0.7", "enp1s0", 7),)
    assert DeleteLink("enp2s0.20") not in found.steps
    # A box that goes back to nothing.
    assert steps(CARDS | MADE, nothing(DESIRED, files=False)) == [DeleteLink("enp1s0.7"), DeleteLink("enp2s0.20")]
    assert steps(CARDS | MADE, nothing(DESIRED)) == []


def test_a_card_that_only_carries_vlans_has_no_word_of_its_own() -> None:
    folder = "/run/systemd/network/50-appliance-"
    trunk = DESIRED.files[f"{folder}enp1s0.vlans.network"]
    assert "Name=enp1s0\n" in trunk and "LinkLocalAddressing=no\n" in trunk and "IPv6AcceptRA=no\n" in trunk
    assert f"{folder}enp2s0.vlans.network" not in DESIRED.files
    assert "Name=enp2s0.20\n" in DESIRED.files[f"{folder}guests.network"]


def test_the_flow_table_waits_for_them() -> None:
    def loaded(links: dict[str, ObservedLink]) -> str:
        found = plan(DESIRED, Observed(links=links, flow_offload=True)).steps
        return next(step.text for step in found if isinstance(step, LoadRuleset))

    assert "flowtable" not in loaded(CARDS)
    assert '"enp2s0.20"' in loaded(CARDS | MADE).split("flowtable")[1].split("}")[0]
