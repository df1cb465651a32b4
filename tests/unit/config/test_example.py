"""The example of the documentation is sound, and says what the model says."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from appliance.core.check import check
from tests.unit.config.examples import EXAMPLE


def test_the_example_is_sound() -> None:
    config, document = check(EXAMPLE)
    assert list(config.boxes) == ["alpha", "bravo"]
    assert config.boxes["alpha"].interfaces["wan"].address == [ip_interface("203.0.113.2/24")]
    assert config.boxes["alpha"].interfaces["wan"].is_uplink
    assert not config.boxes["alpha"].interfaces["lan"].is_uplink
    assert config.tunnels["office"].peers["alice"].address == [ip_address("10.20.0.10")]
    assert str(config.tunnels["office"].peers["geneva"].endpoint) == "geneva.example.net:51820"
    assert [str(ports) for ports in config.firewall.allow[4].ports] == ["tcp/445"]
    line = document.mark(("tunnels", "office", "peers", "geneva", "networks", 0)).line
    assert b"192.168.20.0/24" in EXAMPLE.splitlines()[line - 1]
