"""What the other side is given is what its reader takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from appliance.core.check import check
from appliance.core.peering.files import FarEnd, appliance_yaml, cloud_init, wg_quick
from tests.unit.config.examples import key
from tests.unit.peering.cases import CASES

BASEL = FarEnd(
    name="basel",
    site="zurich",
    addresses=["10.20.0.5", "fd00:20::5"],
    box_key=key(0),
    endpoint="[2001:db8::7]:51820",
    allowed_ips=["10.20.0.0/24", "fd00:20::/64", "192.168.10.0/24"],
    private_key=key(1),
    preshared_key=key(2),
    networks=["192.168.30.0/24", "fd00:30::/64"],
)


def test_a_cloud_machine_gets_the_same_wg_quick_file() -> None:
    """cloud-init takes user-data that begins with #cloud-config, and reads it as YAML."""
    text = cloud_init(BASEL)
    assert text.startswith("#cloud-config\n")
    data = yaml.safe_load(text)
    conf = data["write_files"][0]
    assert (conf["path"], conf["permissions"]) == ("/etc/wireguard/wg0.conf", "0600")
    assert conf["content"] == wg_quick(BASEL)


def test_a_branchs_appliance_yaml_is_sound_and_holds_no_secret() -> None:
    text = appliance_yaml(BASEL, "office", "psk-basel", [24, 64])
    config, _ = check(text.encode())
    peer = config.tunnels["office"].peers["zurich"]
    assert str(peer.endpoint) == BASEL.endpoint
    assert key(1) not in text and key(2) not in text


def test_without_a_private_key_its_place_is_said() -> None:
    assert "# PrivateKey = " in wg_quick(replace(BASEL, private_key=None))


def test_every_file_after_a_command_is_sound() -> None:
    """But for the one case whose file has a problem before, and whose command is refused."""
    for folder in CASES:
        if folder.name != "a-file-with-problems":
            check((Path(folder) / "after.yaml").read_bytes())
