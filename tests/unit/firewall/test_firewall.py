"""What holds for any configuration: pure, quick, marks that do not collide, names that nft can take."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from appliance.core.firewall import render, uplink_marks
from appliance.core.model import Config
from appliance.core.state import TUNNEL_MARK, TUNNEL_MARK_MASK, UPLINK_MARK_MASK

KEY = "MDjxVfjG5F5MSou2m18I/4AKH/SShejeviOlgzxtBRI="
LAN = {"device": "enp2s0", "address": "192.168.10.1/24"}


def configuration(**more: Any) -> Config:
    interfaces = more.pop("interfaces", {"lan": LAN})
    boxes = {"alpha": {"interfaces": interfaces}}
    return Config.model_validate({"version": 1, "site": "zurich", "boxes": boxes, **more})


def text_of(config: Config) -> str:
    return render(config, "alpha", lambda path: 7)


def crowd(count: int) -> Config:
    """A tunnel with `count` peers, one rule each, half of them from the peer and half to it."""
    peers = {f"p{i}": {"public_key": KEY, "address": f"10.20.{i // 250}.{i % 250 + 2}"} for i in range(count)}
    out = [{"from": f"office.p{i}", "to": "lan", "services": ["https", "ssh"]} for i in range(0, count, 2)]
    back = [{"from": "lan", "to": f"office.p{i}"} for i in range(1, count, 2)]
    tunnels = {"office": {"addresses": ["10.20.0.1/16"], "peers": peers}}
    return configuration(tunnels=tunnels, firewall={"allow": [*out, *back]})


def rules_outside_maps(text: str) -> int:
    return len([line for line in text.splitlines() if line.startswith(" " * 8) and line[8] not in " }"])


def test_a_thousand_peers_add_elements_and_no_rules() -> None:
    assert rules_outside_maps(text_of(crowd(1000))) == rules_outside_maps(text_of(crowd(10)))


def test_a_thousand_peers_and_rules_render_in_a_tenth_of_a_second() -> None:
    config = crowd(1000)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        text_of(config)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.1


def test_the_same_configuration_gives_the_same_text() -> None:
    assert text_of(crowd(50)) == text_of(crowd(50))


def test_the_longest_names_stay_within_what_the_kernel_takes() -> None:
    """NFT_CHAIN_MAXNAMELEN is 256; comments end at 128 bytes."""
    name = "n" * 32
    peers = {
        name: {"public_key": KEY, "address": "10.20.0.2"},
        "b" * 32: {"public_key": KEY, "address": "10.20.0.3"},
    }
    rule = {"from": f"{'t' * 12}.{name}", "to": f"{'t' * 12}.{'b' * 32}", "services": ["ssh"]}
    tunnels = {"t" * 12: {"addresses": ["10.20.0.1/24"], "peers": peers}}
    text = text_of(configuration(tunnels=tunnels, firewall={"allow": [rule] * 40}))
    assert max(len(found) for found in re.findall(r"chain (\S+)", text)) < 128
    assert max(len(found) for found in re.findall(r'comment "([^"]*)"', text)) <= 128


def test_marks_exist_only_where_there_is_a_choice() -> None:
    one = {"wan": {"device": "enp1s0", "address": "dhcp"}, "lan": LAN}
    two = {**one, "mobile": {"device": "wwan0", "address": "dhcp"}}
    assert uplink_marks(configuration(interfaces=one), "alpha") == {}
    assert uplink_marks(configuration(interfaces=two), "alpha") == {"wan": 0x0100_0000, "mobile": 0x0200_0000}
    assert " mark " not in text_of(configuration(interfaces=one))


def test_marks_of_uplinks_and_tunnels_never_share_a_bit() -> None:
    assert UPLINK_MARK_MASK & TUNNEL_MARK_MASK == 0
    interfaces = {f"up{i}": {"device": f"eth{i}", "address": "dhcp"} for i in range(20)}
    for mark in uplink_marks(configuration(interfaces=interfaces), "alpha").values():
        assert mark & ~UPLINK_MARK_MASK == 0 and mark != 0
    assert TUNNEL_MARK & ~TUNNEL_MARK_MASK == 0


def test_setting_a_mark_keeps_the_bits_of_the_others() -> None:
    two = {f"up{i}": {"device": f"eth{i}", "address": "dhcp"} for i in range(2)}
    for line in text_of(configuration(interfaces=two)).splitlines():
        if "mark set" in line:
            assert re.search(r"(ct|meta) mark set \1 mark & 0x00ffffff \| 0x0[12]000000 ", line)


@pytest.mark.parametrize("rule", [{"from": "box", "to": "lan"}, {"from": "nowhere", "to": "lan"}])
def test_a_rule_that_means_nothing_here_opens_nothing(rule: dict[str, str]) -> None:
    text = text_of(configuration(firewall={"allow": [rule]}))
    assert "_to_lan" not in text
    assert "# Not for this box: firewall.allow[0], line 7" in text


def test_a_peer_without_addresses_opens_nothing() -> None:
    tunnels = {"office": {"addresses": ["10.20.0.1/24"], "peers": {"ghost": {"public_key": KEY}}}}
    text = text_of(configuration(tunnels=tunnels, firewall={"allow": [{"from": "office.ghost", "to": "lan"}]}))
    assert "saddr vmap" not in text


def test_a_forward_to_a_host_nobody_knows_is_not_let_through() -> None:
    interfaces = {"wan": {"device": "enp1s0", "address": "dhcp"}, "lan": LAN}
    forward = {"from": "wan", "port": "tcp/80", "to": "172.16.0.1"}
    text = text_of(configuration(interfaces=interfaces, firewall={"port_forwards": [forward]}))
    assert "ct status dnat" not in text
