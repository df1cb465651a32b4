"""The box's own key is replaced: two interfaces beside each other, and each peer's routes by the one that it uses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from appliance.core.desired import compile_box
from appliance.core.in_force import in_force, notices, overdue, replacing
from appliance.core.plan import plan
from appliance.core.proof import PEER, Fact, Readings, expected, proven, worked
from appliance.core.state import Desired, Observed, ObservedDevice, ObservedLink, ObservedPeer, Route
from appliance.core.steps import AddRoutes, AddTunnel, DeleteRoutes, DeleteTunnel, SetDevice, SetPeers, Step
from appliance.supervisor.report import report
from tests.unit.config.examples import OFFICE, key

BOB, GENEVA = key(1), key(2)
OWN = {"wg-office": key(10), "wg-office.2": key(11)}
KEPT = f"""{OFFICE}
keys: {{max_age: 180d}}
tunnels:
  office:
    addresses: [10.20.0.1/24]
    engine: kernel
    peers:
      bob: {{public_key: {BOB}, address: 10.20.0.2, since: 2027-05-01}}
      geneva:
        {{public_key: {GENEVA}, address: 10.20.0.3, networks: [192.168.20.0/24], keepalive: 25, since: 2027-05-01}}
"""
FIRST = compile_box(f"{KEPT}    listen_port: 51820\n".encode(), None)
BOTH = compile_box(
    f"{KEPT}    listen_port: 51821\n    key: 2\n    since: 2026-11-24\n"
    "    replaces: {listen_port: 51820, until: 2026-12-24}\n".encode(),
    None,
)
SECOND = compile_box(f"{KEPT}    listen_port: 51821\n    key: 2\n    since: 2026-11-24\n".encode(), None)
IPS = {BOB: ("10.20.0.2/32",), GENEVA: ("10.20.0.3/32", "192.168.20.0/24")}
NEVER = {BOB: 0.0, GENEVA: 0.0}


def day(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def device(port: int, own: str, shaken: dict[str, float], received: int = 0) -> ObservedDevice:
    peers = {
        each: ObservedPeer(
            each, frozenset(IPS[each]), None, 25 if each == GENEVA else 0, "", shaken[each], received, received
        )
        for each in IPS
    }
    return ObservedDevice(own, port, 0x5700, peers)


def seen(
    old: dict[str, float] | None = None,
    new: dict[str, float] | None = None,
    routes: frozenset[Route] = frozenset(),
    today: str = "2026-11-25",
) -> Observed:
    """A box with these interfaces, and when each peer shook hands there."""
    devices = {}
    if old is not None:
        devices["wg-office"] = device(51820, OWN["wg-office"], old)
    if new is not None:
        devices["w2-office"] = device(51821, OWN["wg-office.2"], new)
    address = frozenset({"10.20.0.1/24"})
    links = {
        each: ObservedLink(each, "wireguard", True, True, 1440, "appliance: tunnel office", address) for each in devices
    }
    return Observed(
        devices=devices, links=links, routes=routes, keys=OWN, kernel_wireguard=True, at_least=day(today)
    )  # fmt: skip


def ways(desired: Desired, observed: Observed) -> dict[str, str]:
    """By destination, the interface that leads there."""
    return {each.destination: each.device for each in in_force(desired, observed).routes if each.device}


def settled(desired: Desired, observed: Observed) -> Observed:
    """With the routes that count now."""
    return replace(observed, routes=frozenset(in_force(desired, observed).routes))


def steps(desired: Desired, observed: Observed, previous: Desired = BOTH) -> list[Step]:
    kinds = (AddTunnel, DeleteTunnel, SetDevice, SetPeers, AddRoutes, DeleteRoutes)
    return [step for step in plan(desired, observed, previous).steps if isinstance(step, kinds)]


BY_OLD = {"10.20.0.2/32": "wg-office", "10.20.0.3/32": "wg-office", "192.168.20.0/24": "wg-office"}
BY_NEW = dict.fromkeys(BY_OLD, "w2-office")


def test_the_new_key_comes_beside_the_old_one_and_nobody_notices() -> None:
    before = settled(FIRST, seen(old={BOB: 5.0, GENEVA: 7.0}))
    found = plan(BOTH, before, FIRST)
    assert found.disturbs == ("no tunnel is touched",)
    touched = [step for step in found.steps if getattr(step, "device", "") == "wg-office"]
    assert touched == [], "the interface with the old key is left alone"
    made = steps(BOTH, before, FIRST)
    assert [type(step) for step in made] == [AddTunnel, SetDevice, SetPeers, AddRoutes]
    assert made[1] == SetDevice("w2-office", "kernel", "wg-office.2", 51821, 0x5700)
    # Both interfaces have the tunnel's network, so each peer has its own route; geneva's LAN had one already.
    assert isinstance(made[3], AddRoutes)
    assert {(each.destination, each.device) for each in made[3].routes} == {
        ("10.20.0.2/32", "wg-office"),
        ("10.20.0.3/32", "wg-office"),
    }


def test_each_peer_is_followed_to_the_key_that_it_uses() -> None:
    assert ways(BOTH, seen(NEVER, NEVER)) == BY_OLD
    assert ways(BOTH, seen({BOB: 1000.0, GENEVA: 1100.0}, NEVER)) == BY_OLD
    moved = seen({BOB: 1000.0, GENEVA: 1100.0}, {BOB: 1050.0, GENEVA: 0.0})
    assert ways(BOTH, moved) == {**BY_OLD, "10.20.0.2/32": "w2-office"}
    assert replacing(BOTH, moved.devices, moved.at_least), "geneva is waited for"
    there = seen({BOB: 1000.0, GENEVA: 1100.0}, {BOB: 1050.0, GENEVA: 1150.0})
    assert ways(BOTH, there) == BY_NEW
    assert not replacing(BOTH, there.devices, there.at_least)


def test_a_route_moves_in_one_step() -> None:
    """Deleted first, a packet in between would meet the black hole."""
    routes = frozenset(in_force(BOTH, seen(NEVER, NEVER)).routes)
    made = steps(BOTH, seen({BOB: 0.0, GENEVA: 1100.0}, {BOB: 0.0, GENEVA: 1150.0}, routes))
    assert [type(step) for step in made] == [SetPeers, AddRoutes]
    # Its keepalive calls nobody any more in the name of the old key.
    assert isinstance(made[0], SetPeers) and made[0].device == "wg-office"
    assert [(each.public_key, each.keepalive) for each in made[0].changes] == [(GENEVA, 0)]
    assert isinstance(made[1], AddRoutes)
    assert {each.destination for each in made[1].routes} == {"10.20.0.3/32", "192.168.20.0/24"}
    back = plan(BOTH, seen({BOB: 0.0, GENEVA: 1100.0}, {BOB: 0.0, GENEVA: 1150.0}, routes), BOTH).planned[-1].undo
    assert isinstance(back[-1], AddRoutes) and {each.device for each in back[-1].routes} == {"wg-office"}


def test_who_has_both_keys_goes_on_with_the_new_one() -> None:
    """Another office's box, while its own file names both."""
    assert ways(BOTH, seen({BOB: 0.0, GENEVA: 1200.0}, {BOB: 0.0, GENEVA: 1100.0}))["192.168.20.0/24"] == "w2-office"


def test_who_returns_to_the_old_file_is_followed_when_the_new_session_has_ended() -> None:
    assert ways(BOTH, seen({BOB: 1300.0, GENEVA: 0.0}, {BOB: 1100.0, GENEVA: 0.0}))["10.20.0.2/32"] == "wg-office"


def test_engines_that_know_of_no_handshake_leave_the_routes_as_they_are() -> None:
    moved = settled(BOTH, seen({BOB: 1000.0, GENEVA: 1100.0}, {BOB: 1050.0, GENEVA: 0.0}))
    anew = replace(seen(NEVER, NEVER), routes=moved.routes)
    assert ways(BOTH, anew) == {**BY_OLD, "10.20.0.2/32": "w2-office"}


def test_a_peers_own_keys_may_be_replaced_at_the_same_time() -> None:
    """One new QR code for both: the new key of the device shakes hands with the new one of the box."""
    text = f"{KEPT}    listen_port: 51821\n    key: 2\n    replaces: {{listen_port: 51820, until: 2026-12-24}}\n"
    text = text.replace(
        f"{{public_key: {BOB}, address: 10.20.0.2,",
        f"{{public_key: {key(3)}, address: 10.20.0.2, replaces: {{public_key: {BOB}, until: 2026-12-24}},",
    )
    desired = compile_box(text.encode(), None)
    waiting = seen({BOB: 1000.0, GENEVA: 0.0}, NEVER)
    assert ways(desired, waiting)["10.20.0.2/32"] == "wg-office"
    new = waiting.devices["w2-office"]
    shaken = replace(new.peers[BOB], public_key=key(3), last_handshake=1100.0, allowed_ips=frozenset())
    devices = {**waiting.devices, "w2-office": replace(new, peers={**new.peers, key(3): shaken})}
    after = replace(waiting, devices=devices)
    assert ways(desired, after)["10.20.0.2/32"] == "w2-office"
    by_device = {tunnel.device: tunnel for tunnel in in_force(desired, after).tunnels}
    assert [peer.public_key for peer in by_device["w2-office"].peers] == [key(3), GENEVA]


def test_the_old_key_ends_with_its_last_day() -> None:
    moved = settled(BOTH, seen(NEVER, {BOB: 5.0, GENEVA: 6.0}, today="2026-12-24"))
    assert not overdue(BOTH, moved.devices, moved.at_least)
    late = replace(moved, at_least=day("2026-12-25"))
    assert overdue(BOTH, late.devices, late.at_least)
    assert [tunnel.device for tunnel in in_force(BOTH, late).tunnels] == ["w2-office"]
    assert DeleteTunnel("wg-office", "kernel") in steps(BOTH, late)


def test_at_the_end_the_routes_of_their_own_go_after_the_old_interface() -> None:
    """While both have the tunnel's network, the kernel would send by the one that had it first."""
    moved = settled(BOTH, seen({BOB: 1000.0, GENEVA: 1000.0}, {BOB: 1050.0, GENEVA: 1060.0}))
    made = steps(SECOND, moved)
    assert [type(step) for step in made] == [DeleteTunnel, DeleteRoutes]
    assert isinstance(made[1], DeleteRoutes)
    assert {each.destination for each in made[1].routes} == {"10.20.0.2/32", "10.20.0.3/32"}
    assert plan(SECOND, moved, BOTH).disturbs == (
        "office: wg-office ends with its key, 0 peers that use it are cut off",
    )
    half = settled(BOTH, seen({BOB: 1000.0, GENEVA: 1000.0}, {BOB: 1050.0, GENEVA: 0.0}))
    assert plan(SECOND, half, BOTH).disturbs == (
        "office: wg-office ends with its key, 1 peers that use it are cut off",
    )


def test_what_is_taken_back_has_the_key_that_it_had() -> None:
    moved = settled(BOTH, seen({BOB: 1000.0, GENEVA: 1000.0}, {BOB: 1050.0, GENEVA: 1060.0}))
    undo = next(each.undo for each in plan(FIRST, moved, BOTH).planned if isinstance(each.step, DeleteTunnel))
    assert SetDevice("w2-office", "kernel", "wg-office.2", 51821, 0x5700) in undo


def test_who_has_not_moved_is_told_and_what_to_do_in_the_end() -> None:
    half = seen({BOB: 1000.0, GENEVA: 1000.0}, {BOB: 1050.0, GENEVA: 0.0}, today="2026-11-25")
    assert notices(BOTH, half) == (
        "the box's old key of office ends in 30 days; not seen with the new one yet: office.geneva (new files: "
        "appliance peer show NAME)",
    )
    whole = seen(NEVER, {BOB: 1050.0, GENEVA: 1060.0}, today="2026-11-25")
    assert notices(BOTH, whole) == (
        "the box's old key of office ends in 30 days, and everybody uses the new one: appliance peer rotate --own "
        "--tunnel office --finish",
    )


def test_a_key_of_the_box_that_grows_old_is_told_of() -> None:
    """As the file says when it was made; where it does not, as the key's own file does."""
    young = replace(seen(old=NEVER), keys_made={"wg-office": day("2026-11-01")})
    assert notices(FIRST, young) == ()
    old = replace(young, keys_made={"wg-office": day("2026-06-01")})
    assert notices(FIRST, old) == (
        "the box's own key of office is 177 days old (keys.max_age is 180d): "
        "appliance peer rotate --own --tunnel office",
    )
    later = seen(new=NEVER, today="2027-05-20")
    assert [each[:42] for each in notices(SECOND, later)] == ["the box's own key of office is 177 days ol"]


def test_status_shows_each_peer_with_the_key_that_it_uses() -> None:
    half = settled(BOTH, seen({BOB: 1000.0, GENEVA: 1000.0}, {BOB: 1050.0, GENEVA: 0.0}))
    said = report(BOTH, half, None, (), {}, frozenset(), {})
    found = {each["name"]: each for each in said["tunnels"]}
    assert [peer["name"] for peer in found["office"]["peers"]] == ["office.bob"]
    assert [peer["name"] for peer in found["office/old"]["peers"]] == ["office.geneva"]
    assert (found["office/old"]["replaced_by"], found["office/old"]["expires"]) == ("office", "2026-12-24")
    assert (found["office"]["public_key"], found["office"]["listen_port"]) == (OWN["wg-office.2"], 51821)


def test_either_key_proves_that_a_peer_works() -> None:
    now = 2000.0
    before = Readings(Observed(devices={"wg-office": device(51820, "", {BOB: 1900.0, GENEVA: 1900.0}, 500)}), wall=now)
    facts = worked(FIRST, before, None, False)
    assert {fact.name for fact in facts} == {"office.bob", "office.geneva"}
    wanted = expected(facts, BOTH)
    began = Readings(seen({BOB: 1900.0, GENEVA: 1900.0}, NEVER))
    spoke = Readings(Observed(devices={"wg-office": device(51820, "", {BOB: 1900.0, GENEVA: 1900.0}, 900)}))
    assert all(proven(fact, wanted, began, spoke) for fact in wanted.facts)
    by_new = Readings(Observed(devices={"w2-office": device(51821, "", {BOB: 1900.0, GENEVA: 1900.0}, 900)}))
    assert all(proven(fact, wanted, began, by_new) for fact in wanted.facts)


def test_who_used_the_old_key_is_not_missed_when_it_ends() -> None:
    facts = (Fact(PEER, "office/old.bob", BOB), Fact(PEER, "office.geneva", GENEVA))
    assert [fact.name for fact in expected(facts, SECOND).facts] == ["office.geneva"]
