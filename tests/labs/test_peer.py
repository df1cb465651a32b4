"""A colleague is connected by what `appliance peer add` gives him, and cut off by `remove`.

The drawing stands in tests/labs/office.py. The laptop at home is Bob's here; his WireGuard is a stock wg-quick.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.lab import Box, Lab, Probe, wait_for, wg_quick_peer
from tests.lab.qr import read_code
from tests.labs.office import BRANCH_HOST, OFFICE_HOST, Office


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Office:
    made = Office(shared_lab).build()
    for box in (made.geneva, made.zurich):
        made.apply(box)
    return made


def peer(box: Box, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """One call of `appliance peer`, confirmed as a person does."""
    done = box.run("appliance", "peer", *words, check=check, timeout=120)
    if done.returncode == 0 and "on trial" in done.stdout:
        box.run("appliance", "confirm")
    return done


def listed(box: Box, name: str) -> dict[str, Any]:
    peers = json.loads(box.run("appliance", "peer", "list", "--json").stdout)
    return next((each for each in peers if each["name"] == name), {})


def mode(box: Box, path: str) -> str:
    return box.run("stat", "-c", "%a", path).stdout.strip()


def test_add_gives_a_file_that_connects_and_remove_cuts(office: Office) -> None:
    box, laptop = office.zurich, office.laptop
    before = box.run("cat", "/data/appliance/appliance.yaml").stdout
    said = peer(box, "add", "bob", "--allow", "lan", "--conf", "/data/bob.conf", "--png", "/data/bob.png").stdout
    conf = (box.data / "bob.conf").read_text()
    assert mode(box, "/data/bob.conf") == mode(box, "/data/bob.png") == "600"
    assert mode(box, "/data/appliance/secrets/psk-bob") == "600"
    decoded = subprocess.run(
        ["zbarimg", "-q", "--raw", "-Sbinary", str(box.data / "bob.png")], capture_output=True, text=True, check=True
    )
    assert decoded.stdout.rstrip("\n") == conf.rstrip("\n"), "a phone reads the same file"
    tunnel = wg_quick_peer(laptop, conf, "bob")
    laptop.ping(OFFICE_HOST, timeout=10)
    assert not laptop.pings(BRANCH_HOST), "nobody allowed that"
    seen = listed(box, "office.bob")
    assert seen["state"] == "up" and seen["endpoint"].startswith("192.0.2.2:"), seen

    keys = [line.partition(" = ")[2] for line in conf.splitlines() if line.startswith(("PrivateKey", "PresharedKey"))]
    told = said + box.journal() + box.run("appliance", "history").stdout
    assert len(keys) == 2 and not any(key in told for key in keys)
    assert keys[0] not in box.sh("cat /data/appliance/appliance.yaml /data/appliance/generations/*")

    refused = peer(box, "remove", "bob", check=False)
    assert refused.returncode == 1 and "call it again with --yes" in refused.stderr
    laptop.ping(OFFICE_HOST)
    peer(box, "remove", "bob", "--yes")
    assert box.run("cat", "/data/appliance/appliance.yaml").stdout == before
    wait_for(lambda: not laptop.pings(OFFICE_HOST), 5, "bob is cut off")
    assert listed(box, "office.bob") == {}
    tunnel.down()


def test_rotate_cuts_nobody_off(office: Office) -> None:
    """The old file works until the new one is first used; switching costs a moment; then the old one is void."""
    box, laptop = office.zurich, office.laptop
    peer(box, "add", "carla", "--allow", "lan", "--conf", "/data/carla.conf")
    old = (box.data / "carla.conf").read_text()
    tunnel = wg_quick_peer(laptop, old, "carla")
    laptop.ping(OFFICE_HOST, timeout=10)
    with Probe(laptop, office.host, OFFICE_HOST, 0.01) as probe:
        probe.flowing(packets=50)
        done = peer(box, "rotate", "carla", "--conf", "/data/carla-new.conf", "--confirm", "auto")
        probe.flowing(packets=100)
    assert "applied and confirmed" in done.stdout, done.stdout
    assert probe.report.lost == (), str(probe.report)
    assert listed(box, "office.carla")["state"] == "never seen"
    assert listed(box, "office.carla/old")["state"] == "up"
    said = peer(box, "rotate", "carla", "--finish", check=False)
    assert said.returncode == 1 and "has not used its new keys yet" in said.stderr

    new = (box.data / "carla-new.conf").read_text()
    laptop.put("/etc/wireguard/new.conf", new, 0o600)
    with Probe(laptop, office.host, OFFICE_HOST, 0.01) as probe:
        probe.flowing(packets=50)
        laptop.sh("wg-quick strip new >/run/new && wg syncconf carla /run/new")
        probe.flowing(packets=100)
        wait_for(lambda: listed(box, "office.carla/old") == {}, 5, "the old keys are gone")
        probe.flowing(packets=100)
    assert probe.report.longest_gap_ms < 2000, str(probe.report)
    laptop.log.line(f"the switch to the new keys: {probe.report}")
    assert listed(box, "office.carla")["state"] == "up"

    peer(box, "rotate", "carla", "--finish")
    laptop.ping(OFFICE_HOST)
    assert "replaces" not in box.run("cat", "/data/appliance/appliance.yaml").stdout
    laptop.sh("wg-quick strip carla >/run/old && wg syncconf carla /run/old")
    assert not any(laptop.pings(OFFICE_HOST) for _ in range(3)), "the old file is worth nothing"
    tunnel.down()
    secrets = [line.partition(" = ")[2] for line in (old + new).splitlines() if line.startswith(("Priv", "Pre"))]
    assert len(secrets) == 4 and not any(each in box.journal() for each in secrets)


def test_the_code_on_a_terminal_is_the_file(office: Office) -> None:
    """The half blocks as a camera sees them, on a serial line or over ssh."""
    box = office.zurich
    said = peer(box, "add", "dora", "--allow", "lan").stdout
    rows = [line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m") for line in said.splitlines() if "\x1b[" in line]
    text = read_code(rows)
    assert "Endpoint = 203.0.113.2:51820" in text and "PrivateKey = " in text
    tunnel = wg_quick_peer(office.laptop, text, "dora")
    office.laptop.ping(OFFICE_HOST, timeout=10)
    tunnel.down()
    peer(box, "remove", "dora", "--yes")


def test_what_does_not_run_leaves_nothing(office: Office) -> None:
    """The branch's LAN belongs to geneva: the file is refused, and with it keys and files."""
    box = office.zurich
    before = box.run("cat", "/data/appliance/appliance.yaml").stdout
    done = peer(box, "add", "eve", "--site", "192.168.20.0/24", "--conf", "/data/eve.conf", check=False)
    assert done.returncode == 1 and "nothing was changed" in done.stderr, done.stderr
    assert box.run("cat", "/data/appliance/appliance.yaml").stdout == before
    assert not (box.data / "eve.conf").exists()
    assert not (box.data / "appliance/secrets/psk-eve").exists()
