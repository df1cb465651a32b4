"""`appliance support` on the office's box (the drawing: tests/labs/office.py): no secret of the box is in what it
sends, although keys were spilled into the file and the journal.
"""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, wait_for
from tests.labs.office import ZURICH, Office, status

HASH = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKDdWQ1iGQFH2KWm1zFY1Jk5uOjrPdAf7r6rQ3mPnJ0e"


@pytest.fixture(scope="module")
def office(shared_lab: Lab) -> Iterator[Office]:
    office = Office(shared_lab).build()
    office.zurich.put("/data/appliance/console", f"admin:{HASH}\n", 0o600)
    office.go_online()
    spilled = f"# the old laptop: PrivateKey = {office.keys['alice'].private}, PresharedKey {office.psk}\n"
    office.apply(office.zurich, f"{spilled}{ZURICH}administrators:\n  anna: {LOGIN}\n")
    wait_for(lambda: ":22 " in office.zurich.sh("ss -Hltn"), 10, "sshd runs, its host key is made")
    yield office


def secrets(office: Office) -> dict[str, bytes]:
    """Every file of the box that holds a secret, by its place below /data/appliance."""
    state = office.zurich.data / "appliance"
    files = [file for folder in ("keys", "secrets", "age", "ssh") for file in (state / folder).rglob("*")]
    found = {str(file.relative_to(state)): file.read_bytes() for file in files if file.suffix != ".pub"}
    return {**found, "console": HASH.encode()}


def forms(content: bytes) -> set[str]:
    """A secret as it is written, its lines, and base64 and hex of these and of the bytes that they stand for."""
    lines = [line for line in content.decode().splitlines() if len(line) > 8 and line[0] != "#" and line[:5] != "-----"]
    raws = [content, content.strip(), *(line.encode() for line in lines)]
    for text in (*lines, "".join(lines)):
        try:
            raws.append(base64.b64decode(text, validate=True))
        except ValueError:
            continue
    found = {*lines, "".join(lines)}
    for raw in raws:
        found |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex(), raw.hex().upper()}
    return {form.rstrip("=") for form in found}


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = [(entry.name, archive.extractfile(entry)) for entry in archive.getmembers()]
        return {name.partition("/")[2]: file.read().decode() for name, file in files if file}


def test_no_secret_of_the_box_is_in_what_it_sends(office: Office) -> None:
    box = office.zurich
    for content in secrets(office).values():
        # A unit of ours that says what it should not: in the journal, each secret in four forms.
        said = [content.decode(), content.strip().hex(), base64.b64encode(content).decode(), f"x={content.decode()}y"]
        box.put("/run/spilled", "\n".join(said), 0o600)
        box.run("systemd-run", "--quiet", "--wait", "--unit=appliance-spill", "cat", "/run/spilled")
    wait_for(lambda: office.psk in box.journal("--unit=appliance-spill"), 10, "the journal has it")

    box.run("appliance", "support", "-o", "/data/sent.tar.gz")
    found = unpacked(box.data / "sent.tar.gz")
    held = secrets(office)
    assert held.keys() >= {
        "keys/wg-office.key",
        "secrets/psk-alice",
        "age/identity.key",
        "ssh/ssh_host_ed25519_key",
        "console",
    }
    count = 0
    for place, content in held.items():
        for form in forms(content):
            count += 1
            assert not [name for name, text in found.items() if form in text], place
    assert office.keys["alice"].private not in "".join(found.values()), "a key that this box does not have"
    size = (box.data / "sent.tar.gz").stat().st_size
    print(f"{len(found)} members, {size / 1000:.0f} kB: {len(held)} secrets in {count} forms, none found")


def test_it_says_what_helps(office: Office) -> None:
    found = unpacked(office.zurich.data / "sent.tar.gz")
    said = json.loads(found["status.json"])
    assert said["site"] == "zurich" and said["tunnels"][0]["peers"][0]["name"] == "office.alice"
    assert "steps" in json.loads(found["plan.json"]) and json.loads(found["history.json"])[0]["outcome"] == "confirmed"
    assert office.keys["geneva"].public in found["appliance.yaml"] and LOGIN in found["appliance.yaml"]
    assert office.keys["geneva"].public in found["wireguard.txt"] and "latest handshake" in found["wireguard.txt"]
    assert "table inet appliance" in found["firewall.txt"] and "192.168.10.1/24" in found["network.txt"]
    assert "applied" in found["journal.txt"] and "0 loaded units listed" in found["units.txt"]
    assert "wireguard-tools" in found["versions.txt"] and "/data" in found["machine.txt"]
    assert not [text for text in found.values() if "not installed" in text or "did not run" in text]


def test_only_an_administrator_may_and_it_is_his(office: Office) -> None:
    box = office.zurich
    refused = box.run("runuser", "-u", "admin", "--", "appliance", "support", "-o", "/data/admin/mine", check=False)
    assert refused.returncode == 1 and "put sudo before it" in refused.stderr
    assert not (box.data / "admin/mine").exists()
    box.sh("cd /data/admin && runuser -u admin -- sudo appliance support")
    (path,) = (box.data / "admin").glob("appliance-support-zurich-zurich-*Z.tar.gz")
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, 900)


def test_it_is_written_too_while_the_supervisor_does_not_run(office: Office) -> None:
    box = office.zurich
    box.run("systemctl", "stop", "appliance.service")
    try:
        box.run("appliance", "support", "-o", "/data/stopped.tar.gz")
    finally:
        box.run("systemctl", "start", "appliance.service")
    found = unpacked(box.data / "stopped.tar.gz")
    assert (
        "the supervisor does not run here" in found["status.json"] and "table inet appliance" in found["firewall.txt"]
    )
    wait_for(lambda: status(box)["site"] == "zurich", 10, "the supervisor is back")
