"""The plan: what is done for which difference, in which order, and what takes it back."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.plan import plan, tunnel_mtu
from appliance.core.state import (
    ALIAS,
    LOGIN_KEYS_FILE,
    MONITORING_FILE,
    DefaultRoute,
    Desired,
    DesiredLink,
    DesiredPeer,
    DesiredTunnel,
    Grant,
    Observed,
    ObservedDevice,
    ObservedLink,
    ObservedPeer,
    Route,
    Rule,
    Ruleset,
    Uplink,
)
from appliance.core.steps import (
    AddAddress,
    AddRoutes,
    AddRule,
    AddTunnel,
    DeleteAddress,
    DeleteRoutes,
    DeleteRule,
    DeleteTunnel,
    ForgetConnections,
    LoadRuleset,
    ReloadNetworkd,
    SetDevice,
    SetLink,
    SetMonitoring,
    SetPeers,
    SetSsh,
    SetSysctl,
    WriteFile,
)

ALICE = DesiredPeer("office.alice", "KEY-ALICE", ("10.20.0.10/32",), preshared_key="psk-alice")
GENEVA = DesiredPeer(
    "office.geneva",
    "KEY-GENEVA",
    ("10.20.0.2/32", "192.168.20.0/24"),
    endpoint="geneva.example.net:51820",
    keepalive=25,
)
OFFICE = DesiredTunnel("office", "auto", ("10.20.0.1/24",), (ALICE, GENEVA), 51820, None, 0x5700)
WAN = Uplink("wan", "enp1s0", 101, 0, ("203.0.113.1",), False, False)
BRANCH = Route("192.168.20.0/24", "wg-office")
DESIRED = Desired(
    site="zurich",
    box="alpha",
    digest="d",
    links=(DesiredLink("wan", "enp1s0", ("203.0.113.2/24",), path="/run/systemd/network/50-appliance-wan.network"),),
    uplinks=(WAN,),
    tunnels=(OFFICE,),
    routes=(BRANCH,),
    rules=(),
    files={"/run/systemd/network/50-appliance-wan.network": "wan"},
    sysctls={"net.ipv4.ip_forward": "1"},
    ruleset=Ruleset("rules", "rules with offload", ("enp1s0",)),
)
NOTHING = Observed(
    links={"enp1s0": ObservedLink("enp1s0", "", True, True, 1500)},
    sysctls={"net.ipv4.ip_forward": "0"},
    secrets={"psk-alice": "digest-alice"},
    resolved={"geneva.example.net": ("198.51.100.7",)},
)
RUNNING = replace(
    NOTHING,
    links={
        "enp1s0": ObservedLink("enp1s0", "", True, True, 1500, addresses=frozenset({"203.0.113.2/24"})),
        "wg-office": ObservedLink(
            "wg-office", "tun", True, True, 1440, f"{ALIAS}tunnel office", frozenset({"10.20.0.1/24"})
        ),
    },
    devices={
        "wg-office": ObservedDevice(
            "PUBLIC",
            51820,
            0x5700,
            {
                "KEY-ALICE": ObservedPeer("KEY-ALICE", frozenset(ALICE.allowed_ips), None, 0, "digest-alice"),
                "KEY-GENEVA": ObservedPeer("KEY-GENEVA", frozenset(GENEVA.allowed_ips), "198.51.100.7:51820", 25, ""),
            },
        )
    },
    routes=frozenset({BRANCH}),
    files=dict(DESIRED.files),
    sysctls={"net.ipv4.ip_forward": "1"},
    ruleset="rules",
    keys={"wg-office": "PUBLIC"},
)


def kinds(found: object) -> list[str]:
    return [type(step).__name__ for step in found.steps]  # type: ignore[attr-defined]


def with_peer(observed: Observed, key: str, **changes: object) -> Observed:
    device = observed.devices["wg-office"]
    peer = replace(device.peers[key], **changes)  # type: ignore[arg-type]
    return replace(observed, devices={"wg-office": replace(device, peers={**device.peers, key: peer})})


def with_tunnel(**changes: object) -> Desired:
    return replace(DESIRED, tunnels=(replace(OFFICE, **changes),))  # type: ignore[arg-type]


def peer_changes(desired: Desired, observed: Observed, **more: object) -> SetPeers:
    steps = plan(desired, observed, **{"previous": DESIRED, **more}).steps  # type: ignore[arg-type]
    assert len(steps) == 1, steps
    assert isinstance(steps[0], SetPeers)
    return steps[0]


def test_where_all_is_as_wanted_nothing_is_done() -> None:
    found = plan(DESIRED, RUNNING, DESIRED)
    assert not found
    assert found.disturbs == ("no tunnel is touched",)


def test_from_nothing_the_firewall_comes_first_and_forwarding_last() -> None:
    assert kinds(plan(DESIRED, NOTHING)) == [
        "LoadRuleset",
        "WriteFile",
        "ReloadNetworkd",
        "AddTunnel",
        "SetDevice",
        "SetPeers",
        "AddAddress",
        "SetLink",
        "AddRoutes",
        "SetSysctl",
    ]


def test_every_step_but_reloading_can_be_taken_back() -> None:
    for each in plan(DESIRED, NOTHING).planned:
        covered = isinstance(each.step, ReloadNetworkd | SetDevice | SetPeers | SetLink)  # undone with the tunnel
        assert each.undo or covered, each.step


def test_files_are_taken_back_before_networkd_reads_them_again() -> None:
    """The undo of a plan runs from its end, so the reload stands at the end of the first file's undo."""
    undone = [step for each in reversed(plan(DESIRED, NOTHING).planned) for step in each.undo]
    path = "/run/systemd/network/50-appliance-wan.network"
    assert undone.index(WriteFile(path, None)) < undone.index(ReloadNetworkd())


def test_the_engine_is_the_kernels_when_it_is_there() -> None:
    for present, wanted, engine in (
        (True, "auto", "kernel"),
        (False, "auto", "userspace"),
        (True, "userspace", "userspace"),
    ):
        steps = plan(with_tunnel(engine=wanted), replace(NOTHING, kernel_wireguard=present)).steps
        assert next(step.engine for step in steps if isinstance(step, AddTunnel)) == engine


def test_another_engine_means_a_new_interface_with_everything_on_it() -> None:
    found = plan(DESIRED, replace(RUNNING, kernel_wireguard=True), DESIRED)
    assert kinds(found) == ["DeleteTunnel", "AddTunnel", "SetDevice", "SetPeers", "AddAddress", "SetLink", "AddRoutes"]
    assert found.disturbs == ("office: 2 peers pause about 1 s (engine becomes kernel)",)
    undo = found.planned[0].undo
    assert [type(step).__name__ for step in undo] == [
        "AddTunnel", "SetDevice", "SetPeers", "AddAddress", "SetLink", "AddRoutes",
    ]  # fmt: skip


def test_a_deleted_interface_is_made_again_with_its_routes() -> None:
    links = {name: link for name, link in RUNNING.links.items() if name != "wg-office"}
    found = plan(DESIRED, replace(RUNNING, links=links, devices={}, routes=frozenset()), DESIRED)
    assert kinds(found) == ["AddTunnel", "SetDevice", "SetPeers", "AddAddress", "SetLink", "AddRoutes"]


def test_an_engine_that_restarted_gets_its_configuration_back() -> None:
    """The interface is there, but new: no alias, no address, down, and the engine knows nothing."""
    links = {**RUNNING.links, "wg-office": ObservedLink("wg-office", "tun", False, False, 1420)}
    empty = {"wg-office": ObservedDevice("", 0, 0, {})}
    found = plan(DESIRED, replace(RUNNING, links=links, devices=empty, routes=frozenset()), DESIRED)
    assert kinds(found) == ["SetLink", "SetDevice", "SetPeers", "AddAddress", "SetLink", "AddRoutes"]
    assert found.steps[1] == SetDevice("wg-office", "userspace", "wg-office", 51820, 0x5700)


def test_one_peers_keepalive_touches_that_peer_only() -> None:
    step = peer_changes(DESIRED, with_peer(RUNNING, "KEY-GENEVA", keepalive=10))
    assert [(change.name, change.keepalive) for change in step.changes] == [("office.geneva", 25)]
    assert step.changes[0].allowed_ips is None and step.changes[0].endpoint is None and not step.removed


def test_added_networks_are_added_and_surplus_ones_replaced() -> None:
    step = peer_changes(DESIRED, with_peer(RUNNING, "KEY-GENEVA", allowed_ips=frozenset({"10.20.0.2/32"})))
    assert (step.changes[0].allowed_ips, step.changes[0].replace) == (("192.168.20.0/24",), False)
    more = frozenset({*GENEVA.allowed_ips, "10.66.0.0/16"})
    step = peer_changes(DESIRED, with_peer(RUNNING, "KEY-GENEVA", allowed_ips=more))
    assert (step.changes[0].allowed_ips, step.changes[0].replace) == (GENEVA.allowed_ips, True)


def test_a_peer_that_left_the_file_is_removed() -> None:
    found = plan(with_tunnel(peers=(GENEVA,)), RUNNING, DESIRED)
    assert found.steps == (SetPeers("wg-office", "userspace", (), ("KEY-ALICE",)),)
    assert found.disturbs == ("office: 1 peers are cut off",)
    undo = found.planned[0].undo[0]
    assert isinstance(undo, SetPeers) and undo.changes[0].preshared_key == "psk-alice"


def test_a_changed_preshared_key_is_set_and_a_removed_one_is_cleared() -> None:
    step = peer_changes(DESIRED, replace(RUNNING, secrets={"psk-alice": "another"}))
    assert step.changes[0].preshared_key == "psk-alice"
    step = peer_changes(with_tunnel(peers=(replace(ALICE, preshared_key=None), GENEVA)), RUNNING)
    assert step.changes[0].preshared_key == ""
    # The session before knows nothing of the key: the peer is made anew, so that a wrong key shows at once.
    assert step.removed == ("KEY-ALICE",) and step.changes[0].allowed_ips == ALICE.allowed_ips
    assert "remove" not in str(step)
    # It is given the endpoint that it had, which is none that it is called at anew.
    rekeyed = replace(with_peer(RUNNING, "KEY-ALICE", endpoint="192.0.2.9:7"), secrets={"psk-alice": "another"})
    assert plan(DESIRED, rekeyed, DESIRED).disturbs == ("office: 1 peers shake hands anew (preshared key)",)


def test_a_peer_without_its_secret_is_left_out_and_named() -> None:
    found = plan(DESIRED, replace(RUNNING, secrets={}), DESIRED)
    assert "office.alice is left out" in found.warnings[0] and "psk-alice" in found.warnings[0]
    assert found.steps == (SetPeers("wg-office", "userspace", (), ("KEY-ALICE",)),)


def test_a_roaming_peer_keeps_its_endpoint() -> None:
    assert not plan(DESIRED, with_peer(RUNNING, "KEY-GENEVA", endpoint="192.0.2.99:7"), DESIRED)
    assert not plan(DESIRED, with_peer(RUNNING, "KEY-ALICE", endpoint="192.0.2.99:7"), DESIRED)


def test_a_name_that_says_something_new_moves_nobody_by_itself() -> None:
    assert not plan(DESIRED, replace(RUNNING, resolved={"geneva.example.net": ("198.51.100.99",)}), DESIRED)


def test_an_endpoint_is_set_when_the_file_says_another() -> None:
    moved = with_tunnel(peers=(ALICE, replace(GENEVA, endpoint="[2001:db8::7]:51820")))
    assert peer_changes(moved, RUNNING).changes[0].endpoint == "[2001:db8::7]:51820"


def test_an_endpoint_is_set_when_there_is_none_and_the_name_is_known() -> None:
    without = with_peer(RUNNING, "KEY-GENEVA", endpoint=None, keepalive=0)
    assert peer_changes(DESIRED, without).changes[0].endpoint == "198.51.100.7:51820"
    assert not plan(DESIRED, replace(without, resolved={}), DESIRED)


def test_a_peer_found_silent_is_called_where_its_name_now_says() -> None:
    step = peer_changes(DESIRED, RUNNING, moved={"office.geneva": "198.51.100.99:51820"})
    assert step.changes[0].endpoint == "198.51.100.99:51820"
    assert not plan(DESIRED, RUNNING, DESIRED, {"office.geneva": "198.51.100.7:51820"})


def test_a_tunnel_that_left_the_file_goes_with_its_routes_first() -> None:
    found = plan(replace(DESIRED, tunnels=(), routes=()), RUNNING, DESIRED)
    assert found.steps == (DeleteRoutes((BRANCH,)), DeleteTunnel("wg-office", "userspace"))
    assert found.disturbs == ("office: removed, its 2 peers are cut off",)


def test_an_interface_that_is_not_ours_stays() -> None:
    links = {**RUNNING.links, "wg-theirs": ObservedLink("wg-theirs", "tun", True, True, 1420, "somebody's")}
    assert not plan(DESIRED, replace(RUNNING, links=links), DESIRED)


def test_addresses_are_added_and_deleted_one_by_one() -> None:
    found = plan(with_tunnel(addresses=("10.20.0.1/24", "fd20::1/64")), RUNNING, DESIRED)
    assert AddAddress("wg-office", "fd20::1/64") in found.steps and len(found.steps) == 1
    link = replace(RUNNING.links["wg-office"], addresses=frozenset({"10.20.0.1/24", "10.9.9.9/32", "fe80::1/64"}))
    found = plan(DESIRED, replace(RUNNING, links={**RUNNING.links, "wg-office": link}), DESIRED)
    assert found.steps == (DeleteAddress("wg-office", "10.9.9.9/32"),)


def test_a_flushed_table_and_a_stopped_forwarding_are_put_back() -> None:
    observed = replace(RUNNING, ruleset="", sysctls={"net.ipv4.ip_forward": "0"})
    assert plan(DESIRED, observed, DESIRED).steps == (LoadRuleset("rules"), SetSysctl("net.ipv4.ip_forward", "1"))


def test_a_rule_that_left_the_file_takes_its_connections_along() -> None:
    ssh = Grant(("10.20.0.10/32",), ("192.168.10.0/24",), ("tcp/22",))
    web = replace(ssh, ports=("tcp/443",))
    before, after = replace(DESIRED, grants=(ssh, web)), replace(DESIRED, grants=(web,), ruleset=Ruleset("less", ""))
    assert plan(after, RUNNING, before).steps == (LoadRuleset("less"), ForgetConnections((ssh,)))
    assert plan(before, RUNNING, after).steps == ()
    assert plan(before, RUNNING, None).steps == ()


def test_flow_offload_only_where_the_kernel_and_every_device_are_there() -> None:
    able = replace(RUNNING, flow_offload=True)
    assert plan(DESIRED, able, DESIRED).steps == (LoadRuleset("rules with offload"),)
    absent = {name: link for name, link in able.links.items() if name != "enp1s0"}
    assert LoadRuleset("rules with offload") not in plan(DESIRED, replace(able, links=absent), DESIRED).steps


def test_a_lan_address_removed_by_hand_is_networkds_to_set_again() -> None:
    bare = replace(RUNNING.links["enp1s0"], addresses=frozenset())
    found = plan(DESIRED, replace(RUNNING, links={**RUNNING.links, "enp1s0": bare}), DESIRED)
    assert found.steps == (ReloadNetworkd(("enp1s0",)),)


def test_a_file_of_ours_that_nobody_wants_is_removed() -> None:
    stale = {**DESIRED.files, "/run/systemd/network/50-appliance-old.network": "old"}
    found = plan(DESIRED, replace(RUNNING, files=stale), DESIRED)
    assert found.steps == (WriteFile("/run/systemd/network/50-appliance-old.network", None), ReloadNetworkd())


def test_each_of_several_uplinks_gets_its_own_way_out() -> None:
    """A static gateway comes from the file, a DHCP one from what networkd put into the main table."""
    wan = replace(WAN, mark=0x1000000)
    dsl = Uplink("dsl", "enp3s0", 102, 0x2000000, (), True, False)
    observed = replace(
        RUNNING,
        links={
            **RUNNING.links,
            "enp3s0": ObservedLink("enp3s0", "", True, True, 1500, "", frozenset({"192.0.2.7/24"})),
        },
        defaults=(DefaultRoute("enp1s0", "203.0.113.1", 100), DefaultRoute("enp3s0", "192.0.2.1", 110)),
    )
    found = plan(replace(DESIRED, uplinks=(wan, dsl)), observed, DESIRED)
    assert found.steps == (
        AddRoutes(
            (
                Route("0.0.0.0/0", "enp1s0", 101, "203.0.113.1"),
                Route("0.0.0.0/0", "enp3s0", 102, "192.0.2.1"),
            )
        ),
        AddRule(Rule(4, 5200, 102, source="192.0.2.7/32")),
        AddRule(Rule(4, 5200, 101, source="203.0.113.2/32")),
    ) or {type(step) for step in found.steps} == {AddRoutes, AddRule}


def test_a_rule_of_ours_that_nobody_wants_is_deleted() -> None:
    rule = Rule(4, 5300, 51, mark=0x5700, mask=0xFFFF, invert=True)
    assert plan(DESIRED, replace(RUNNING, rules=frozenset({rule})), DESIRED).steps == (DeleteRule(rule),)


def test_mtu_follows_the_smallest_uplink_and_what_carries_it() -> None:
    def mtu(uplink_mtu: int, ipv6: bool, inside: tuple[str, ...] = ("10.20.0.1/24",)) -> int:
        desired = replace(DESIRED, uplinks=(replace(WAN, carries_ipv6=ipv6),))
        links = {"enp1s0": replace(RUNNING.links["enp1s0"], mtu=uplink_mtu)}
        return tunnel_mtu(replace(OFFICE, addresses=inside), desired, replace(RUNNING, links=links))

    assert mtu(1500, False) == 1440
    assert mtu(1500, True) == 1420
    assert mtu(1492, False) == 1432  # PPPoE
    assert mtu(1492, True) == 1412
    assert mtu(1300, True, ("fd20::1/64",)) == 1280, "IPv6 needs 1280 inside, whatever is below"
    assert tunnel_mtu(replace(OFFICE, mtu=1350), DESIRED, RUNNING) == 1350


def test_an_mtu_that_changed_is_set_on_the_running_tunnel() -> None:
    smaller = {**RUNNING.links, "enp1s0": replace(RUNNING.links["enp1s0"], mtu=1492)}
    found = plan(DESIRED, replace(RUNNING, links=smaller), DESIRED)
    assert found.steps == (SetLink("wg-office", 1432),)
    assert found.planned[0].undo == (SetLink("wg-office", 1440),)


def test_keepalives_wait_for_the_endpoint() -> None:
    """An engine that cannot send its first call waits 5 s before the next: no keepalive before the name is known."""
    found = plan(DESIRED, replace(NOTHING, resolved={}))
    step = next(step for step in found.steps if isinstance(step, SetPeers))
    assert [(change.endpoint, change.keepalive) for change in step.changes] == [(None, None), (None, None)]
    waiting = with_peer(RUNNING, "KEY-GENEVA", endpoint=None, keepalive=0)
    assert not plan(DESIRED, replace(waiting, resolved={}), DESIRED)
    change = peer_changes(DESIRED, waiting).changes[0]
    assert (change.endpoint, change.keepalive) == ("198.51.100.7:51820", 25)


def test_a_new_engine_calls_the_peers_where_they_were_lately() -> None:
    links = {**RUNNING.links, "wg-office": ObservedLink("wg-office", "tun", False, False, 1420)}
    empty = replace(RUNNING, links=links, devices={"wg-office": ObservedDevice("", 0, 0, {})}, routes=frozenset())
    seen = {"office.alice": "192.0.2.99:7"}
    step = next(step for step in plan(DESIRED, empty, DESIRED, seen=seen).steps if isinstance(step, SetPeers))
    assert (step.changes[0].endpoint, step.changes[0].keepalive) == ("192.0.2.99:7", 25)
    called = with_peer(RUNNING, "KEY-ALICE", endpoint="192.0.2.99:7", keepalive=25)
    change = peer_changes(DESIRED, called, seen=seen).changes[0]
    assert (change.endpoint, change.keepalive) == (None, 0), "the call was made; the file says no keepalive"


def test_of_a_rule_that_lost_one_network_only_that_ones_connections_end() -> None:
    both = Grant(("10.20.0.2/32", "192.168.20.0/24"), ("192.168.10.0/24",), ())
    one = replace(both, sources=("10.20.0.2/32",))
    before, after = replace(DESIRED, grants=(both,)), replace(DESIRED, grants=(one,))
    assert plan(after, RUNNING, before).steps == (ForgetConnections((replace(both, sources=("192.168.20.0/24",)),)),)


def test_the_far_end_of_a_full_tunnel_is_asked_for_outside_of_it() -> None:
    full = Rule(4, 5300, 51, mark=0x5700, mask=0xFFFF, invert=True)
    desired = replace(DESIRED, rules=(full,))
    running = replace(RUNNING, rules=frozenset({full}))
    outside = Rule(4, 5290, 254, user=991)
    assert plan(desired, replace(running, outside=(991,)), desired).steps == (AddRule(outside),)
    assert plan(desired, replace(running, rules=frozenset({full, outside})), desired).steps == (DeleteRule(outside),)
    assert not plan(DESIRED, replace(RUNNING, outside=(991,)), DESIRED), "without a full tunnel nothing is needed"


KEYS = "# ours\nssh-ed25519 AAAA anna\nssh-ed25519 BBBB ben\n"
WITHOUT_BEN = "# ours\nssh-ed25519 AAAA anna\n"


def test_metrics_are_shown_while_somebody_may_read_them() -> None:
    def steps(wanted: str | None, present: str | None) -> list[object]:
        def files(text: str | None) -> dict[str, str]:
            return {**DESIRED.files, **({MONITORING_FILE: text} if text else {})}

        before = replace(RUNNING, files=files(present))
        return list(plan(replace(DESIRED, files=files(wanted)), before, DESIRED).steps)

    assert steps("192.168.10.1", None) == [WriteFile(MONITORING_FILE, "192.168.10.1"), SetMonitoring(True)]
    assert steps("10.20.0.1", "192.168.10.1") == [WriteFile(MONITORING_FILE, "10.20.0.1"), SetMonitoring(True)]
    assert steps(None, "10.20.0.1") == [WriteFile(MONITORING_FILE, None), SetMonitoring(False)]
    assert steps("10.20.0.1", "10.20.0.1") == []


def test_ssh_runs_while_somebody_may_log_in_and_a_key_that_leaves_ends_its_sessions() -> None:
    def steps(wanted: str | None, present: str | None) -> list[object]:
        files = {} if wanted is None else {LOGIN_KEYS_FILE: wanted}
        there = {} if present is None else {LOGIN_KEYS_FILE: present}
        found = plan(replace(DESIRED, files=files), replace(RUNNING, files=there))
        assert all(each.undo for each in found.planned if isinstance(each.step, WriteFile))
        return list(found.steps)

    assert steps(KEYS, KEYS) == []
    assert steps(KEYS, None) == [WriteFile(LOGIN_KEYS_FILE, KEYS), SetSsh(True)]
    assert steps(KEYS, WITHOUT_BEN) == [WriteFile(LOGIN_KEYS_FILE, KEYS), SetSsh(True)]
    assert steps(WITHOUT_BEN, KEYS) == [WriteFile(LOGIN_KEYS_FILE, WITHOUT_BEN), SetSsh(True, end_sessions=True)]
    assert steps(None, KEYS) == [WriteFile(LOGIN_KEYS_FILE, None), SetSsh(False, end_sessions=True)]
