"""One lease for two boxes: the device that has it, its identity, and what a plan does about both."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.check import check
from appliance.core.desired import desired
from appliance.core.lease_steps import ways
from appliance.core.lent import FOR_EVER, leases, superseded
from appliance.core.pair.leases import hardware_address, lease_device
from appliance.core.pair.link import with_pair_link
from appliance.core.plan import plan
from appliance.core.state import (
    ALONE,
    NO_TABLE,
    DefaultRoute,
    Desired,
    Lease,
    Observed,
    ObservedLink,
    OpenSession,
    PppSession,
    Role,
    Route,
)
from appliance.core.steps import (
    AddLeaseLink,
    AddLentDefault,
    AddRoutes,
    DeleteAddress,
    DeleteLink,
    SetLink,
    SetSysctl,
    Step,
    WriteFile,
)
from tests.unit.pair.cases import CASES

FOLDER = next(case for case in CASES if case.name == "a-lease-that-moves")
KEYS = {"wg-pair": "own", "pair-partner": "other"}
MUTED = Role(muted=True)


def wish(box: str, keys: dict[str, str] | None = None) -> Desired:
    config, document = check((FOLDER / "appliance.yaml").read_bytes())
    return with_pair_link(desired(config, document, box, "digest"), KEYS if keys is None else keys)


ALPHA = wish("alpha")
WAN = ALPHA.leased[0]
CARD = ObservedLink("enp1s0", "", True, True, 1500)
LINK = ObservedLink(WAN.device, "macvlan", True, True, 1500, WAN.alias, mac=WAN.mac, parent="enp1s0")
LENT = replace(LINK, addresses=frozenset({"203.0.113.10/24", "fe80::1/64"}), lifetimes={"203.0.113.10/24": 590})
WAY = DefaultRoute(WAN.device, "203.0.113.1", 100)


def test_a_box_without_a_partner_speaks_without_virtual_addresses() -> None:
    alone = wish("alpha", {})
    assert alone.rules and all(rule.table != NO_TABLE for rule in alone.rules)
    assert {rule.priority for rule in ALPHA.rules} - {rule.priority for rule in alone.rules} == {5045, 5055}
    assert with_pair_link(alone, KEYS) == ALPHA, "once it has one"


def seen(*links: ObservedLink, defaults: tuple[DefaultRoute, ...] = ()) -> Observed:
    return Observed(
        links={link.device: link for link in (CARD, *links)},
        defaults=defaults,
        sysctls={"net/ipv6/conf/enp1s0/disable_ipv6": "0"},
    )


def steps(observed: Observed, role: Role = ALONE, wanted: Desired = ALPHA) -> list[Step]:
    """Those about the leased uplink."""
    found = plan(wanted, observed, wanted, role=role).steps
    return [step for step in found if getattr(step, "device", "") == WAN.device]


def test_both_boxes_are_the_same_client_whatever_their_cards_are_called() -> None:
    bravo = wish("bravo").leased[0]
    assert (WAN.device, WAN.mac, WAN.metric) == (bravo.device, bravo.mac, bravo.metric)
    assert (WAN.parent, bravo.parent) == ("enp1s0", "eth0")
    path = "/run/systemd/network/50-appliance-wan.lease.network"
    assert ALPHA.files[path] == wish("bravo").files[path]


def test_the_hardware_address_is_nobodys_and_not_a_groups() -> None:
    for site in map(str, range(100)):
        first = int(hardware_address(site, "wan")[:2], 16)
        assert first & 0b11 == 0b10
    assert len({hardware_address(site, name) for site in ("zurich", "bern") for name in ("wan", "dsl")}) == 4


def test_boxes_that_are_no_pair_yet_are_two_clients() -> None:
    strangers = {wish(box, keys={}).leased[0].mac for box in ("alpha", "bravo")}
    assert len(strangers) == 2 and WAN.mac not in strangers


def test_the_devices_name_fits_the_kernel() -> None:
    assert lease_device("wan") == "lease-wan"
    names = [lease_device(f"an-uplink-with-a-long-name-{n}") for n in range(9)]
    assert len(set(names)) == 9 and all(len(name) <= 15 for name in names)


def test_a_standby_has_the_device_down() -> None:
    assert steps(seen(), MUTED) == [AddLeaseLink(WAN.device, "enp1s0", WAN.mac, WAN.alias)]
    assert steps(seen(LINK), MUTED) == [SetLink(WAN.device, up=False)]
    assert steps(seen(replace(LINK, up=False)), MUTED) == []


def test_a_master_has_it_up_and_a_way_for_the_tunnels() -> None:
    assert steps(seen()) == [AddLeaseLink(WAN.device, "enp1s0", WAN.mac, WAN.alias), SetLink(WAN.device, up=True)]
    assert steps(seen(LENT)) == []
    added = [step for step in plan(ALPHA, seen(LENT, defaults=(WAY,))).steps if isinstance(step, AddRoutes)]
    assert Route("0.0.0.0/0", WAN.device, 50, "203.0.113.1", 100) in added[0].routes
    assert Route("0.0.0.0/0", WAN.device, 101, "203.0.113.1") in added[0].routes


def test_a_way_on_that_networkd_forgot_is_there_again() -> None:
    lent = replace(seen(LENT), lent_gateways={WAN.device: "203.0.113.1"})
    missing = AddLentDefault(WAN.device, "203.0.113.1", "203.0.113.10/24", 100)
    assert steps(lent) == [missing]
    assert steps(replace(lent, defaults=(replace(WAY, gateway="fe80::1"),))) == [missing]
    assert steps(replace(lent, defaults=(WAY,))) == []
    assert steps(lent, MUTED) == [SetLink(WAN.device, up=False)]
    elsewhere = replace(lent, lent_gateways={WAN.device: "198.51.100.1"})
    assert steps(elsewhere) == [], "the file of a lease before"
    superseded_one = replace(
        LENT, addresses=LENT.addresses | {"203.0.113.9/24"}, provisional=frozenset({"203.0.113.9/24"})
    )
    assert missing in steps(replace(lent, links=lent.links | {WAN.device: superseded_one}))


def test_the_card_is_silent_before_networkd_has_it_up() -> None:
    found = plan(ALPHA, seen()).steps
    quiet = found.index(SetSysctl("net/ipv6/conf/enp1s0/disable_ipv6", "1"))
    assert quiet < next(n for n, step in enumerate(found) if isinstance(step, WriteFile))


def test_another_hardware_address_or_card_makes_it_anew() -> None:
    for wrong in (replace(LINK, mac="02:00:00:00:00:01"), replace(LINK, parent="enp9s0")):
        assert steps(seen(wrong))[:2] == [DeleteLink(WAN.device), AddLeaseLink(*_made())]


def test_without_a_pair_it_goes() -> None:
    alone = replace(ALPHA, leased=())
    assert steps(seen(LINK), wanted=alone) == [DeleteLink(WAN.device)]
    undo = next(each.undo for each in plan(alone, seen(LINK)).planned if isinstance(each.step, DeleteLink))
    assert undo == (AddLeaseLink(*_made()), SetLink(WAN.device, 1500, True))


def test_what_the_network_did_not_confirm_goes_when_it_lent_another_one() -> None:
    taken = replace(LENT, provisional=frozenset({"203.0.113.10/24"}))
    assert superseded(taken) == () and steps(seen(taken)) == []
    other = replace(taken, addresses=taken.addresses | {"203.0.113.77/24"})
    assert steps(seen(other)) == [DeleteAddress(WAN.device, "203.0.113.10/24")]
    assert [each.address for each in leases(ALPHA, seen(other))] == ["203.0.113.77/24"]
    ipv6 = replace(taken, addresses=taken.addresses | {"2001:db8::7/64"})
    assert steps(seen(ipv6)) == []


def test_leases_are_what_the_system_has() -> None:
    both = replace(LENT, addresses=LENT.addresses | {"2001:db8::7/64"})
    worse = DefaultRoute(WAN.device, "203.0.113.9", 200)
    assert leases(ALPHA, seen(both, defaults=(worse, WAY))) == (
        Lease("wan", "2001:db8::7/64", "", FOR_EVER),
        Lease("wan", "203.0.113.10/24", "203.0.113.1", 590),
    )
    assert leases(ALPHA, seen(replace(both, up=False))) == ()
    assert leases(ALPHA, seen()) == ()


def test_a_session_is_told_of_by_its_number() -> None:
    """The new master can end it at the provider; over another card it is none of the pair's."""
    open_sessions = (OpenSession(WAN.device, 17, "02:aa:00:00:00:01"), OpenSession("enp9s0", 18, "02:aa:00:00:00:01"))
    up = replace(LENT, addresses=frozenset())
    assert leases(ALPHA, replace(seen(up), open_sessions=open_sessions)) == (
        Lease("wan", "", "02:aa:00:00:00:01", FOR_EVER, 17),
    )
    assert leases(ALPHA, replace(seen(replace(up, up=False)), open_sessions=open_sessions)) == ()


def test_a_session_that_is_up_has_an_address() -> None:
    """What is hidden behind it is to know, on both boxes."""
    session = PppSession("wan", "ppp-wan", WAN.device, "provider", 1492, "/run/appliance-pppoe/ppp-wan.options")
    ppp = ObservedLink("ppp-wan", "ppp", True, True, 1492, addresses=frozenset({"100.64.0.10/32", "2001:db8::7/64"}))
    observed = seen(replace(LENT, addresses=frozenset()), ppp)
    observed = replace(observed, open_sessions=(OpenSession(WAN.device, 17, "02:aa:00:00:00:01"),))
    assert leases(replace(ALPHA, sessions=(session,)), observed) == (
        Lease("wan", "100.64.0.10/32", "02:aa:00:00:00:01", FOR_EVER, 17),
    )


def test_the_tunnels_own_packets_leave_by_the_session() -> None:
    session = PppSession("wan", "ppp-wan", WAN.device, "provider", 1492, "/run/appliance-pppoe/ppp-wan.options")
    on_link = DefaultRoute("ppp-wan", "0.0.0.0", 100)
    assert ways((WAN,), (session,), (on_link,)) == {Route("0.0.0.0/0", "ppp-wan", 50, None, WAN.metric)}


def _made() -> tuple[str, str, str, str]:
    return WAN.device, WAN.parent, WAN.mac, WAN.alias
