"""Dialling as a plan: what is written, started, hung up, and what takes each back."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.plan import plan, tunnel_mtu
from appliance.core.ppp_steps import begun_with
from appliance.core.pppoe_words import quoted
from appliance.core.state import (
    DefaultRoute,
    Desired,
    DesiredTunnel,
    LeasedUplink,
    Observed,
    ObservedLink,
    ObservedSession,
    PppSession,
    Role,
    Route,
    Ruleset,
    Uplink,
)
from appliance.core.steps import AddRoutes, StartSession, Step, StopSession, WriteFile

PATH = "/run/appliance-pppoe/ppp-wan.options"
WAN = PppSession("wan", "ppp-wan", "enp1s0", "provider", 1492, PATH)
DESIRED = Desired(
    site="zurich",
    box="alpha",
    digest="d",
    links=(),
    uplinks=(Uplink("wan", "ppp-wan", 101, 0, (), True, False),),
    tunnels=(),
    routes=(),
    rules=(),
    files={PATH: "options"},
    sysctls={},
    ruleset=Ruleset("rules", ""),
    sessions=(WAN,),
)
NOTHING = Observed(passwords={"provider": "digest"}, ruleset="rules")
DIAL = StartSession("ppp-wan", "provider", begun_with("options", "digest"))
UP = replace(NOTHING, files=dict(DESIRED.files), sessions={"ppp-wan": ObservedSession(True, DIAL.begun_with)})


def steps(
    desired: Desired, observed: Observed, previous: Desired | None = None, role: Role | None = None
) -> list[Step]:
    return list(plan(desired, observed, previous, role=role or Role()).steps)


def undone(desired: Desired, observed: Observed, previous: Desired) -> list[Step]:
    """What taking the whole plan back does, in order."""
    return [step for each in reversed(plan(desired, observed, previous).planned) for step in each.undo]


def test_a_session_is_dialled_once() -> None:
    assert steps(DESIRED, NOTHING) == [WriteFile(PATH, "options"), DIAL]
    assert steps(DESIRED, UP) == []


def test_without_the_password_nothing_is_dialled_and_a_sentence_says_so() -> None:
    found = plan(DESIRED, replace(NOTHING, passwords={}))
    assert found.steps == (WriteFile(PATH, "options"),)
    assert found.warnings == (
        "wan does not dial: its password provider is not on this box; "
        "write it to /data/appliance/secrets/provider (mode 0600), then `appliance apply`",
    )


def test_another_password_is_dialled_with() -> None:
    again = plan(DESIRED, replace(UP, passwords={"provider": "another"}))
    assert again.steps == (StartSession("ppp-wan", "provider", begun_with("options", "another")),)
    assert again.disturbs == ("wan: is dialled anew, its connections pause or end",)


def test_somebody_stopped_the_unit() -> None:
    stopped = replace(UP, sessions={"ppp-wan": ObservedSession(False, DIAL.begun_with, 5)})
    assert steps(DESIRED, stopped) == [DIAL]


def test_other_options_are_taken_back_with_the_session_that_had_been() -> None:
    other = replace(DESIRED, files={PATH: "other"})
    dial = StartSession("ppp-wan", "provider", begun_with("other", "digest"))
    assert steps(other, UP, DESIRED) == [WriteFile(PATH, "other"), dial]
    assert undone(other, UP, DESIRED) == [WriteFile(PATH, "options"), DIAL]


def test_an_uplink_that_leaves_hangs_up_and_comes_back() -> None:
    none = replace(DESIRED, sessions=(), files={})
    assert steps(none, UP, DESIRED) == [StopSession("ppp-wan"), WriteFile(PATH, None)]
    assert undone(none, UP, DESIRED) == [WriteFile(PATH, "options"), DIAL]


def test_a_box_that_is_not_master_does_not_dial() -> None:
    muted = Role(muted=True)
    assert steps(DESIRED, NOTHING, role=muted) == [WriteFile(PATH, "options")]
    assert steps(DESIRED, UP, role=muted) == [StopSession("ppp-wan")]
    for hung_up in (ObservedSession(False, ""), ObservedSession(True, "")):
        assert steps(DESIRED, replace(UP, sessions={"ppp-wan": hung_up}), role=muted) == []
        assert steps(DESIRED, replace(UP, sessions={"ppp-wan": hung_up})) == [DIAL]


def test_a_default_route_without_a_gateway_leads_there_from_the_uplinks_own_table() -> None:
    marked = replace(DESIRED, uplinks=(replace(DESIRED.uplinks[0], mark=0x0100_0000),))
    link = ObservedLink("ppp-wan", "ppp", True, True, 1492, addresses=frozenset({"100.64.0.10/32"}))
    up = replace(UP, links={"ppp-wan": link}, defaults=(DefaultRoute("ppp-wan", "0.0.0.0", 100),))
    assert AddRoutes((Route("0.0.0.0/0", "ppp-wan", 101),)) in steps(marked, up)


def test_a_tunnel_has_the_same_mtu_before_the_session_stands() -> None:
    tunnel = DesiredTunnel("office", "auto", ("10.20.0.1/24",), ())
    link = ObservedLink("ppp-wan", "ppp", True, True, 1492)
    assert tunnel_mtu(tunnel, DESIRED, UP) == tunnel_mtu(tunnel, DESIRED, replace(UP, links={"ppp-wan": link})) == 1432


def test_a_password_stays_one_word_of_the_options_file() -> None:
    assert quoted('a "b" \\c # d') == '"a \\"b\\" \\\\c # d"'


def test_a_session_ends_before_the_device_below_it_has_another_hardware_address() -> None:
    """A provider who is not told refuses another session until he has forgotten the first."""
    lease = LeasedUplink(
        "wan", "lease-wan", "enp1s0", "6a:00:00:00:00:02", "6a:00:00:00:00:01", "6a:00:00:00:00:02", 100
    )
    desired = replace(DESIRED, sessions=(replace(WAN, parent="lease-wan"),), leased=(lease,))
    links = {
        "enp1s0": ObservedLink("enp1s0", "", True, True, 1500),
        "lease-wan": ObservedLink(
            "lease-wan", "macvlan", True, True, 1500, lease.alias, mac=lease.mac_alone, parent="enp1s0"
        ),
    }
    observed = replace(UP, links=links)
    kinds = [type(step).__name__ for step in steps(desired, observed, desired)]
    assert kinds == ["StopSession", "DeleteLink", "AddLeaseLink", "SetLink", "StartSession"]
    muted = [type(step).__name__ for step in steps(desired, observed, desired, Role(muted=True))]
    assert muted == ["StopSession", "DeleteLink", "AddLeaseLink"]
    assert [type(step).__name__ for step in undone(desired, observed, desired)][-1] == "StartSession"
