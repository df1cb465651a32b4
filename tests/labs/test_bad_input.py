"""What a running box does with what it cannot do: one clear sentence, exit code 1, and not a bit of it changes.

The drawing stands in tests/labs/office.py.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import Box, Lab, Probe, wait_for
from tests.labs.office import OFFICE_HOST, Office, in_order, slow_to_start

STATE = """
nft --stateless list ruleset
ip -d link | sed -E 's/ (gso|gro|tso|promiscuity|allmulti|minmtu|num|parentbus).*//'
ip -o address | sed -E 's/valid_lft.*//'
ip route show table all; ip -6 route show table all | sed -E 's/expires [^ ]*//'
ip rule; ip -6 rule
wg show wg-office dump | awk '{ print $1, $2, $3, $4, $NF }' | sort
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
find /run/systemd/network /run/systemd/resolved.conf.d /data/appliance/keys /data/appliance/secrets \\
  /data/appliance/generations -type f | sort | xargs sha256sum
systemctl list-units --plain --no-legend 'appliance-engine@*'
"""


@pytest.fixture(scope="module")
def running(shared_lab: Lab) -> Iterator[Office]:
    """An office with traffic that must not lose a packet, whatever the tests of this module do to the box."""
    office = Office(shared_lab).build().go_online()
    office.laptop.ping(OFFICE_HOST, timeout=15)
    office.branch_host.ping(OFFICE_HOST, timeout=15)
    with Probe(office.laptop, office.host, OFFICE_HOST) as probe:
        probe.flowing(packets=20)
        yield office
        probe.flowing(packets=20)
    print(f"meanwhile: {probe.report}")
    assert probe.report.lost == (), str(probe.report)


@contextmanager
def unchanged(box: Box) -> Iterator[None]:
    """Everything that the box runs is byte for byte as before, when the block has ended."""
    in_order(box)
    before = box.sh(STATE)
    yield
    assert box.sh(STATE) == before


def refused(box: Box, content: str | bytes, sentence: str, as_user: str = "") -> str:
    """Applies the bytes; returns the one sentence with which that was refused."""
    box.put("/tmp/office.yaml", content)
    words = ["runuser", "-u", as_user, "--"] if as_user else []
    with unchanged(box):
        done = box.run(*words, "appliance", "apply", "/tmp/office.yaml", check=False, timeout=90)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert re.search(sentence, done.stderr), done.stderr
    assert "Traceback" not in done.stderr and not [line for line in lines if len(line) > 400]
    print(lines[0])
    return done.stderr


def test_a_device_that_does_not_exist(running: Office) -> None:
    text = running.yaml("zurich").replace("enp2s0", "enp9s0")
    said = refused(running.zurich, text, r"interfaces\.lan\.device: enp9s0 does not exist on this box")
    assert "enp1s0, enp2s0" in said and said.count("\n") == 1


def test_a_tunnel_port_that_is_taken(running: Office) -> None:
    """By another program, found beforehand; the running tunnel keeps its own."""
    argv = ["nsenter", f"--net={running.zurich.netns}", "socat", "-u", "UDP4-RECV:51999", "STDOUT"]
    holder = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":51999 " in running.zurich.sh("ss -Hlun"), 5, "the port is taken")
        for text in (
            running.yaml("zurich").replace("51820\n    addresses", "51999\n    addresses"),
            running.yaml("zurich").replace("firewall:", SECOND_TUNNEL + "firewall:"),
        ):
            refused(running.zurich, text, r"UDP port 51999 is taken by another program on this box")
    finally:
        holder.kill()
        holder.wait()


SECOND_TUNNEL = "  guests: {listen_port: 51999, addresses: [10.99.0.1/24], peers: {}}\n"


def test_a_secret_that_is_not_there(running: Office) -> None:
    text = running.yaml("zurich").replace("psk-alice", "psk-nobody")
    refused(running.zurich, text, r"psk-nobody is not on this box; write it to /data/appliance/secrets/psk-nobody")


def test_networks_that_overlap(running: Office) -> None:
    """Two peers with the same network: the kernel would give it silently to the last one."""
    text = running.yaml("zurich").replace(
        "address: 10.20.0.10\n", "address: 10.20.0.10\n        networks: [192.168.20.128/25]\n"
    )
    refused(running.zurich, text, r"office\.yaml:\d+:\d+: tunnels\.office\.peers\.\w+\.networks")


def test_a_file_of_ten_megabytes(running: Office) -> None:
    refused(
        running.zurich,
        "# " + "x" * 10_000_000 + "\n" + running.yaml("zurich"),
        r"10\.0 MB long; a configuration is at most 4 MB",
    )


def test_a_bomb(running: Office) -> None:
    """Nine levels of nine references: a billion values in 300 bytes."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    refused(running.zurich, "\n".join(lines), r"office\.yaml:\d+:\d+: .*(alias|anchor|reference)")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x01\x02", b"\xff\xfe", b"- 1\n", b"version: 1\n", b"{" * 5000],
    ids=["empty", "NUL", "UTF-16", "list", "short", "deep"],
)
def test_what_is_no_configuration(running: Office, content: bytes) -> None:
    refused(running.zurich, content, r"office\.yaml")


def test_no_permission(running: Office) -> None:
    refused(
        running.zurich,
        running.yaml("zurich"),
        r"only root and the group appliance may do this; put sudo before it",
        as_user="nobody",
    )


def test_the_supervisor_is_stopped(running: Office) -> None:
    """The command says so and how to go on; traffic flows without it."""
    zurich = running.zurich
    before = zurich.sh(STATE)
    zurich.run("systemctl", "stop", "appliance")
    for verb in ("apply", "plan", "status"):
        done = zurich.run("appliance", verb, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "appliance: the supervisor does not run here; start it: systemctl start appliance\n"
    assert zurich.sh(STATE) == before
    with slow_to_start(zurich):
        done = zurich.run("appliance", "status", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the supervisor is still starting; try again in a moment" in done.stderr
    in_order(zurich, 15)
    assert zurich.sh(STATE) == before


@contextmanager
def failing(box: Box, call: str, error: str, threads: bool) -> Iterator[None]:
    """Every such system call of the supervisor fails, as it would if the kernel had no memory left for it; without
    `threads` those of its first thread, from the second on: the first asks the compiler."""
    pid = box.sh("systemctl show --property=MainPID --value appliance")
    leader = Path(f"/proc/{box.leader}/ns/pid").readlink()
    inner = re.compile(rf"^NSpid:.*\t{pid}$", re.MULTILINE)
    outer = next(
        each.name
        for each in Path("/proc").glob("[0-9]*")
        if inner.search((each / "status").read_text()) and (each / "ns/pid").readlink() == leader
    )
    inject = f"inject={call}:error={error}" + ("" if threads else ":when=2+")
    argv = ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, *(["-f"] if threads else []), "-p", outer]
    tracer = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None and "attached" in tracer.stderr.readline()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait()


@pytest.mark.parametrize(
    ("call", "error", "threads", "sentence"),
    [
        # A beat of the watchdog may be the first such call.
        (
            "sendmsg",
            "ENOMEM",
            False,
            r"the kernel refused the firewall: .*the configuration before runs again"
            r"|cannot be compiled now: Cannot allocate memory",
        ),
        ("fsync", "ENOSPC", True, r"cannot be written: No space left on device; nothing was changed"),
    ],
    ids=["no-memory-for-the-rules", "no-space-on-the-disk"],
)
def test_a_kernel_that_refuses(running: Office, call: str, error: str, threads: bool, sentence: str) -> None:
    """Halfway through an apply the kernel says no: what was done is taken back."""
    zurich = running.zurich
    text = running.yaml("zurich").replace("to: wan}", "to: wan, services: [https, dns]}", 1)
    text = text.replace("192.168.10.1/24", "[192.168.10.1/24, 192.168.11.1/24]")
    zurich.put("/tmp/office.yaml", text)
    with unchanged(zurich), failing(zurich, call, error, threads):
        done = zurich.run("appliance", "apply", "/tmp/office.yaml", check=False, timeout=90)
    print(done.stderr.strip())
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(sentence, done.stderr) and done.stderr.count("\n") == 1


def test_a_supervisor_without_its_rights(running: Office) -> None:
    """Somebody's drop-in takes its one capability away: it says so in the journal, and the office goes on."""
    zurich = running.zurich
    drop_in = "/run/systemd/system/appliance.service.d/lab.conf"
    before = zurich.sh(STATE)
    zurich.put(drop_in, "[Service]\nCapabilityBoundingSet=\n")
    zurich.sh("systemctl daemon-reload; systemctl restart appliance || true")
    assert zurich.sh(STATE) == before
    zurich.sh(f"rm {drop_in}; systemctl daemon-reload; systemctl restart appliance")
    in_order(zurich, 15)
    assert zurich.sh(STATE) == before


def test_nothing_of_it_was_kept(running: Office) -> None:
    """After all that a reboot loads what was confirmed last."""
    assert running.zurich.run("appliance", "history", "1").stdout == running.yaml("zurich")
    assert not Path(running.zurich.data / "appliance/generations/trial").exists()
    assert "Traceback" not in running.zurich.journal("-u", "appliance")
