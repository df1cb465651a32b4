"""A colleague is connected by what `appliance peer add` gives him, and cut off by `remove`.

The drawing stands in tests/labs/office.py. The laptop at home is Bob's here; his WireGuard is a stock wg-quick.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lab import Box, Lab, Node, Probe, Switch, capture, wait_for, wg_quick_peer
from tests.lab.qr import read_code
from tests.labs.office import BRANCH_HOST, OFFICE_HOST, Office, in_order
from tests.labs.wiring import apply


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


def test_when_somebody_was_seen_outlives_the_box(office: Office) -> None:
    """An engine knows of nobody after a start of the box; the list does."""
    box = office.zurich
    peer(box, "add", "gina", "--allow", "lan", "--conf", "/data/gina.conf")
    tunnel = wg_quick_peer(office.laptop, (box.data / "gina.conf").read_text(), "gina")
    office.laptop.ping(OFFICE_HOST, timeout=10)
    tunnel.down()
    box.sh("systemctl stop appliance")
    box.power_cut()
    box.boot()
    in_order(box, 20)
    seen = listed(box, "office.gina")
    assert (seen["state"], seen["handshake_age_seconds"]) == ("idle", None) and 0 < seen["last_seen_seconds"] < 120, (
        seen
    )
    assert "ago" in next(line for line in box.sh("appliance peer list").splitlines() if "gina" in line)
    peer(box, "remove", "gina", "--yes")


def test_what_does_not_run_leaves_nothing(office: Office) -> None:
    """The branch's LAN belongs to geneva: the file is refused, and with it keys and files."""
    box = office.zurich
    before = box.run("cat", "/data/appliance/appliance.yaml").stdout
    done = peer(box, "add", "eve", "--site", "192.168.20.0/24", "--conf", "/data/eve.conf", check=False)
    assert done.returncode == 1 and "nothing was changed" in done.stderr, done.stderr
    assert box.run("cat", "/data/appliance/appliance.yaml").stdout == before
    assert not (box.data / "eve.conf").exists()
    assert not (box.data / "appliance/secrets/psk-eve").exists()


def test_a_key_that_never_left_the_device(office: Office) -> None:
    box, laptop = office.zurich, office.laptop
    private = laptop.sh("umask 077; wg genkey | tee /root/own.key")
    public = laptop.sh("wg pubkey </root/own.key")
    said = peer(box, "add", "frank", "--allow", "lan", "--public-key", public, "--conf", "/data/frank.conf").stdout
    conf = (box.data / "frank.conf").read_text()
    assert "the private key, which only this device has" in conf and private not in said + conf
    hole = next(line for line in conf.splitlines() if "PrivateKey" in line)
    tunnel = wg_quick_peer(laptop, conf.replace(hole, f"PrivateKey = {private}"), "frank")
    laptop.ping(OFFICE_HOST, timeout=10)
    assert listed(box, "office.frank")["state"] == "up"
    tunnel.down()
    peer(box, "remove", "frank", "--yes")


def test_all_of_a_colleagues_traffic_goes_through_the_office(office: Office) -> None:
    """--full with a name server; the internet sees the office's address."""
    box, laptop = office.zurich, office.laptop
    reached = ("--allow", "wan", "--allow", "box")
    peer(box, "add", "hugo", "--full", "--dns", "10.20.0.1", *reached, "--conf", "/data/hugo.conf")
    conf = (box.data / "hugo.conf").read_text()
    assert "AllowedIPs = 0.0.0.0/0, ::/0" in conf and "DNS = 10.20.0.1" in conf
    # What Debian's resolvconf or systemd-resolved would be told.
    laptop.put("/usr/local/bin/resolvconf", "#!/bin/sh\ncat >>/run/resolvconf\n", 0o755)
    with capture(office.internet, "zurich", "icmp") as seen:
        tunnel = wg_quick_peer(laptop, conf, "hugo")
        laptop.ping("198.51.100.1", timeout=10)
        seen.wait("203.0.113.2 > 198.51.100.1: ICMP echo request")
    assert "nameserver 10.20.0.1" in laptop.sh("cat /run/resolvconf")
    ask = "from appliance.adapters.servers import answers_names; print(answers_names('10.20.0.1'))"
    assert laptop.sh(f'cd /src && python3 -c "{ask}"') == "True", "the box answers names through the tunnel"
    tunnel.down()
    peer(box, "remove", "hugo", "--yes")


SITE_WAN, SITE_GATEWAY = "192.0.2.130/25", "192.0.2.129"


def place_for_a_site(office: Office, name: str) -> tuple[Switch, Switch, Node]:
    """The internet's end of a line, a network behind, and a host there."""
    wan, lan = office.lab.switch(f"{name}-wan"), office.lab.switch(f"{name}-lan")
    host = office.lab.node(f"{name}-host")
    return wan, lan, host


def test_a_virtual_machine_in_a_cloud(office: Office) -> None:
    """What cloud-init would do with the user-data: its files, then its commands."""
    box = office.zurich
    wan, lan, host = place_for_a_site(office, "cloud")
    office.internet.attach(wan, "cloud", [f"{SITE_GATEWAY}/25"])
    machine = office.lab.node("cloud")
    machine.attach(wan, "eth0", [SITE_WAN], gateway=SITE_GATEWAY)
    machine.attach(lan, "eth1", ["192.168.77.1/24"])
    host.attach(lan, "eth0", ["192.168.77.20/24"], gateway="192.168.77.1")
    behind = ("--site", "192.168.77.0/24", "--allow", "lan", "--for", "cloud-init", "--conf", "/data/cloud.yaml")
    peer(box, "add", "cloud", *behind)
    assert mode(box, "/data/cloud.yaml") == "600"
    text = (box.data / "cloud.yaml").read_text()
    assert text.startswith("#cloud-config\n")
    data = YAML(typ="safe").load(text)
    assert data["packages"] == ["wireguard-tools"]
    for file in data["write_files"]:
        machine.put(file["path"], file["content"], int(file.get("permissions", "0644"), 8))
    assert data["runcmd"] == [["sysctl", "--system"], ["systemctl", "enable", "--now", "wg-quick@wg0"]]
    machine.run("sysctl", "-q", "-p", "/etc/sysctl.d/50-wireguard.conf")
    tunnel = wg_quick_peer(machine, machine.read("/etc/wireguard/wg0.conf").decode())
    host.ping(OFFICE_HOST, timeout=10)
    office.host.ping("192.168.77.20", timeout=10)
    tunnel.down()
    peer(box, "remove", "cloud", "--yes")
    office.internet.sh("ip link del cloud")


def test_a_branch_with_a_box_of_its_own(office: Office) -> None:
    """Its file holds no secret; they lie beside it, each with the place where it goes."""
    box = office.zurich
    wan, lan, host = place_for_a_site(office, "basel")
    office.internet.attach(wan, "basel", [f"{SITE_GATEWAY}/25"])
    basel = office.lab.box("basel")
    basel.attach(wan, "enp1s0")
    basel.attach(lan, "enp2s0")
    basel.boot()
    host.attach(lan, "eth0", ["192.168.78.20/24"], gateway="192.168.78.1")
    behind = ("--site", "192.168.78.0/24", "--allow", "lan", "--for", "appliance", "--conf", "/data/basel.yaml")
    said = peer(box, "add", "basel", *behind).stdout
    text = (box.data / "basel.yaml").read_text()
    places = re.findall(r"^/data/(\S+): goes to (\S+) on the other box", said, re.MULTILINE)
    assert [place for _, place in places] == ["/data/appliance/keys/wg-office.key", "/data/appliance/secrets/psk-basel"]
    for name, place in places:
        assert mode(box, f"/data/{name}") == "600"
        secret = (box.data / name).read_text()
        assert secret.strip() not in text + said
        basel.put(place, secret, 0o600)
    # This provider hands no address out.
    text = text.replace("address: dhcp", f"address: {SITE_WAN}, gateway: {SITE_GATEWAY}")
    basel.put("/data/appliance/appliance.yaml", text, 0o600)
    apply(basel)
    host.ping(OFFICE_HOST, timeout=10)
    office.host.ping("192.168.78.20", timeout=10)
    peer(box, "remove", "basel", "--yes")
    basel.power_cut()
    office.internet.sh("ip link del basel")
