"""Which peers count at a moment: expiry by the time that the box knows, and the handover from old keys to new ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from appliance.core.desired import compile_box
from appliance.core.in_force import in_force, notices, overdue, replacing
from appliance.core.plan import plan
from appliance.core.proof import Fact, expected
from appliance.core.state import Desired, Observed, ObservedDevice, ObservedLink, ObservedPeer
from appliance.core.steps import SetPeers
from tests.unit.config.examples import OFFICE, key

OLD, NEW, CARLA = key(1), key(2), key(3)
TEXT = f"""{OFFICE}
keys: {{max_age: 180d}}
tunnels:
  office:
    listen_port: 51820
    addresses: [10.20.0.1/24]
    engine: kernel
    peers:
      bob:
        public_key: {NEW}
        preshared_key: {{secret: psk-bob-2}}
        address: 10.20.0.2
        since: 2026-11-24
        replaces: {{public_key: {OLD}, preshared_key: {{secret: psk-bob}}, until: 2026-12-24}}
      carla: {{public_key: {CARLA}, address: 10.20.0.3, since: 2026-06-10, expires: 2026-12-01}}
"""
OFFICE_DESIRED = compile_box(TEXT.encode(), None)
SECRETS = {"psk-bob": "a", "psk-bob-2": "b"}


def day(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def office(peers: dict[str, tuple[str, float]], today: str = "2026-11-25") -> Observed:
    """The tunnel with these keys: their addresses, and when they shook hands."""
    psk = {OLD: "a", NEW: "b"}
    found = {
        each: ObservedPeer(each, frozenset(ips.split()), None, 0, psk.get(each, ""), last_handshake=when)
        for each, (ips, when) in peers.items()
    }
    device = ObservedDevice("", 51820, 0x5700, found)
    link = ObservedLink("wg-office", "wireguard", True, True, 1420, "appliance: tunnel office")
    return Observed(
        devices={"wg-office": device}, links={"wg-office": link}, secrets=SECRETS, kernel_wireguard=True,
        at_least=day(today),
    )  # fmt: skip


def counting(observed: Observed, desired: Desired = OFFICE_DESIRED) -> dict[str, tuple[str, ...]]:
    return {peer.public_key: peer.allowed_ips for peer in in_force(desired, observed).tunnels[0].peers}


def change(observed: Observed) -> SetPeers | None:
    steps = plan(OFFICE_DESIRED, observed, OFFICE_DESIRED).steps
    return next((step for step in steps if isinstance(step, SetPeers)), None)


CARLA_IN = {CARLA: ("10.20.0.3/32", 0.0)}
WAITING = {OLD: ("10.20.0.2/32", 5.0), NEW: ("", 0.0), **CARLA_IN}
SHAKEN = {OLD: ("10.20.0.2/32", 5.0), NEW: ("", 9.0), **CARLA_IN}
TAKEN = {NEW: ("10.20.0.2/32", 9.0), **CARLA_IN}


def test_the_old_key_keeps_the_addresses_until_the_new_one_shakes_hands() -> None:
    observed = office(WAITING)
    assert counting(observed) == {OLD: ("10.20.0.2/32",), NEW: (), CARLA: ("10.20.0.3/32",)}
    assert change(observed) is None and not overdue(OFFICE_DESIRED, observed.devices, observed.at_least)
    assert replacing(OFFICE_DESIRED, observed.devices, observed.at_least)


def test_then_the_new_one_has_them_and_the_old_one_is_gone() -> None:
    observed = office(SHAKEN)
    assert overdue(OFFICE_DESIRED, observed.devices, observed.at_least)
    step = change(observed)
    assert step is not None and step.removed == (OLD,)
    assert [(each.public_key, each.allowed_ips) for each in step.changes] == [(NEW, ("10.20.0.2/32",))]
    after = office(TAKEN)
    assert change(after) is None and not overdue(OFFICE_DESIRED, after.devices, after.at_least)
    assert not replacing(OFFICE_DESIRED, after.devices, after.at_least)


def test_a_new_engine_begins_with_the_old_key() -> None:
    """It has seen no handshake; whichever key the device has, it gets in."""
    assert counting(office({})) == counting(office(WAITING))


def test_the_old_key_ends_with_its_last_day() -> None:
    assert OLD in counting(office(WAITING, "2026-12-24"))
    late = counting(office(WAITING, "2026-12-25"))
    assert OLD not in late and late[NEW] == ("10.20.0.2/32",)


def test_a_peer_gets_in_through_its_last_day() -> None:
    assert CARLA in counting(office(TAKEN, "2026-12-01T23:59:59"))
    late = office(TAKEN, "2026-12-02")
    assert CARLA not in counting(late) and overdue(OFFICE_DESIRED, late.devices, late.at_least)
    step = change(late)
    assert step is not None and step.removed == (CARLA,)


def test_nobody_expires_while_nobody_knows_the_time() -> None:
    unknown = replace(office(TAKEN), at_least=0.0)
    assert CARLA in counting(unknown) and notices(OFFICE_DESIRED, unknown) == ()


def test_what_ends_is_told_in_time() -> None:
    assert notices(OFFICE_DESIRED, office(TAKEN, "2026-11-10")) == ()
    said = notices(OFFICE_DESIRED, office(WAITING, "2026-11-25"))
    assert said == (
        "office.bob has not used its new key yet; the old one ends in 30 days",
        "office.carla expires in 7 days; write another `expires:` to keep it",
        "the keys of office.carla are 168 days old (keys.max_age is 180d): appliance peer rotate office.carla",
    )
    assert "office.carla has expired and gets in no more" in notices(OFFICE_DESIRED, office(TAKEN, "2026-12-02"))[-1]


def test_keys_of_which_nobody_said_how_old_they_are_are_told_of() -> None:
    undated = compile_box(TEXT.replace(", since: 2026-06-10, expires: 2026-12-01", "").encode(), None)
    assert notices(undated, office(TAKEN, "2026-11-10")) == (
        "keys.max_age says nothing of office.carla: `since:` does not say when their keys were made",
    )
    assert notices(replace(undated, key_days=0), office(TAKEN, "2026-11-10")) == ()


def test_a_trial_that_brings_new_keys_is_proven_by_the_old_ones() -> None:
    """Before it the peer was known by its name and old key; now that key stands under another name."""
    fact = Fact("peer", "office.bob", OLD)
    wanted = expected((fact,), OFFICE_DESIRED)
    assert wanted.peers[fact][0][1].public_key == OLD


def test_peers_without_dates_cost_nothing() -> None:
    plain = compile_box(f"{OFFICE}tunnels:\n  office:\n    addresses: [10.20.0.1/24]\n".encode(), None)
    assert in_force(plain, office({})) is plain
