"""The lab harness itself: if these fail, no other lab means anything."""

import re
import subprocess
from pathlib import Path
from threading import Thread

import pytest

from tests.lab import CommandFailed, Lab, Probe, capture, genkey, genpsk, iperf3, transfer, wait_for, wg_quick_peer

# Half a second on a quiet machine; a shared one must not fail the lab.
BOOT_SECONDS = 10


def test_two_boxes_boot_side_by_side(lab: Lab) -> None:
    """
    alpha enp1s0 ──┐
    .1             ├── lan   192.0.2.0/24, 2001:db8::/64
    bravo enp1s0 ──┘
    .2
    """
    lan = lab.switch("lan")
    alpha, bravo = lab.box("alpha"), lab.box("bravo")
    alpha.attach(lan, "enp1s0", ["192.0.2.1/24", "2001:db8::1/64"])
    bravo.attach(lan, "enp1s0", ["192.0.2.2/24", "2001:db8::2/64"])

    starts = [Thread(target=box.boot) for box in (alpha, bravo)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    print(f"booted side by side: alpha {alpha.boot_ms} ms, bravo {bravo.boot_ms} ms")
    assert alpha.failures() == bravo.failures() == ""
    assert 0 < alpha.boot_ms < BOOT_SECONDS * 1000 and 0 < bravo.boot_ms < BOOT_SECONDS * 1000

    assert alpha.sh("hostname; systemctl is-system-running") == "alpha\nrunning"
    assert bravo.sh("hostname") == "bravo"
    assert alpha.sh("cat /proc/1/comm") == "systemd"
    # As on a device: tun for the userspace engine, nft for the firewall, nobody else's cables.
    alpha.sh("test -c /dev/net/tun; nft list ruleset")
    names = {line.split()[1].split("@")[0].strip(":") for line in alpha.sh("ip -o link").splitlines()}
    assert names == {"lo", "enp1s0"}


def test_power_cut_keeps_data_and_nothing_else(lab: Lab) -> None:
    """
    box enp1s0 ─── lan
    """
    lan = lab.switch("lan")
    box = lab.box("box")
    box.attach(lan, "enp1s0")
    box.boot()
    box.put("/data/kept", "here", 0o600)
    box.put("/etc/lost", "here")
    box.run("ip", "link", "add", "left-over", "type", "bridge")
    machine_id = box.read("/etc/machine-id")

    box.power_cut()
    assert not box.running
    box.boot()
    assert box.read("/data/kept") == b"here"
    assert box.sh("stat -c %a /data/kept") == "600"
    assert box.run("test", "-e", "/etc/lost", check=False).returncode == 1
    assert "left-over" not in box.sh("ip -o link")
    assert box.read("/etc/machine-id") == machine_id

    box.reboot()
    assert box.read("/data/kept") == b"here"


def test_nat_router_and_black_hole(lab: Lab) -> None:
    """
    laptop ── home ── router ── internet (mtu 1400) ── server
    .10   192.168.1.0/24  .1  masquerades   203.0.113.0/24   .9
    """
    home, internet = lab.switch("home"), lab.switch("internet", mtu=1400)
    laptop, router, server = lab.node("laptop"), lab.node("router"), lab.node("server")
    laptop.attach(home, "eth0", ["192.168.1.10/24"], gateway="192.168.1.1")
    router.attach(home, "lan", ["192.168.1.1/24"])
    router.attach(internet, "wan", ["203.0.113.2/24"])
    server.attach(internet, "eth0", ["203.0.113.9/24"])
    router.masquerade("wan")

    with capture(server, "eth0", "icmp") as seen:
        laptop.ping("203.0.113.9")
        assert "203.0.113.2 > 203.0.113.9" in seen.wait("echo request")
    assert transfer(laptop, server, "203.0.113.9", 200_000) > 0
    assert iperf3(laptop, server, "203.0.113.9", 1) > 0

    # The router does say that a packet is too big, unless it is made to keep silent.
    big = ("-M", "do", "-s", "1400")
    assert "1400" in laptop.run("ping", "-c1", "-W1", *big, "203.0.113.9", check=False).stdout
    router.drop("icmp type destination-unreachable", hook="output")
    assert not laptop.pings("203.0.113.9", *big)


def test_probe_measures_a_cut_cable(lab: Lab) -> None:
    """
    one ── lan ── two   (its cable is pulled, and put back)
    """
    lan = lab.switch("lan")
    one, two = lab.node("one"), lab.node("two")
    one.attach(lan, "eth0", ["192.0.2.1/24", "2001:db8::1/64"])
    cable = two.attach(lan, "eth0", ["192.0.2.2/24", "2001:db8::2/64"])

    with Probe(one, two, "2001:db8::2") as quiet, Probe(one, two, "192.0.2.2") as probe:
        quiet.flowing(packets=20)
        probe.flowing(packets=20)
        assert quiet.stop().lost == ()
        cable.cut()
        wait_for(lambda: probe.report.longest_gap_ms > 200, 5, "the probe has noticed")
        cable.mend()
        probe.flowing()
    assert len(probe.report.lost) >= 15
    assert 200 < probe.report.longest_gap_ms < 5000


def test_wireguard_through_nat(lab: Lab) -> None:
    """
    laptop ── home ── router ── internet ── server
    .10   192.168.1.0/24  .1   203.0.113.0/24   .9
    10.99.0.2 ═════════ wg0 ═════════ 10.99.0.1
    fd99::2                             fd99::1
    """
    home, internet = lab.switch("home"), lab.switch("internet")
    laptop, router, server = lab.node("laptop"), lab.node("router"), lab.node("server")
    laptop.attach(home, "eth0", ["192.168.1.10/24"], gateway="192.168.1.1")
    router.attach(home, "lan", ["192.168.1.1/24"])
    router.attach(internet, "wan", ["203.0.113.2/24"])
    server.attach(internet, "eth0", ["203.0.113.9/24"])
    router.masquerade("wan")

    ours, theirs, psk = genkey(), genkey(), genpsk()
    wg_quick_peer(
        server,
        f"[Interface]\nPrivateKey = {ours.private}\nListenPort = 51820\nAddress = 10.99.0.1/24, fd99::1/64\n"
        f"[Peer]\nPublicKey = {theirs.public}\nPresharedKey = {psk}\nAllowedIPs = 10.99.0.2/32, fd99::2/128\n",
    )
    peer = wg_quick_peer(
        laptop,
        f"[Interface]\nPrivateKey = {theirs.private}\nAddress = 10.99.0.2/24, fd99::2/64\n"
        f"[Peer]\nPublicKey = {ours.public}\nPresharedKey = {psk}\nEndpoint = 203.0.113.9:51820\n"
        "AllowedIPs = 10.99.0.0/24, fd99::/64\nPersistentKeepalive = 25\n",
    )
    laptop.ping("10.99.0.1")
    laptop.ping("fd99::1")
    peer.wait_handshake()
    assert transfer(laptop, server, "10.99.0.1") > 0
    assert transfer(server, laptop, "fd99::2") > 0
    # Keys and sockets are each node's own.
    assert server.sh("ls /run/wireguard") == laptop.sh("ls /run/wireguard")
    assert router.sh("ls /run/wireguard") == ""


def test_a_failing_command_says_what_it_said(lab: Lab) -> None:
    node = lab.node("node")
    with pytest.raises(CommandFailed, match=r"\[node\] sh .*: exit 3\nout\nerr"):
        node.run("sh", "-c", "echo out; echo err >&2; exit 3")
    with pytest.raises(AssertionError, match=r"still running after 0\.1 s"):
        node.run("sleep", "10", timeout=0.1)
    with pytest.raises(AssertionError, match=r"still not after 0\.05 s: the moon is full"):
        wait_for(lambda: 0, 0.05, "the moon is full")
    assert "exit 3" in lab.log.path.read_text()


def test_closing_leaves_nothing() -> None:
    with Lab("closing") as lab:
        lan, node = lab.switch("lan"), lab.node("node")
        node.attach(lan, "eth0")
        node.popen("sleep", "1000")
        pids = [lan.pid, node.pid]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert subprocess.run(["pgrep", "-x", "sleep"], check=False).returncode == 1
    assert not list(Path("/sys/fs/cgroup").glob("box-*"))


def test_a_line_delays_what_it_carries(lab: Lab) -> None:
    """Ten milliseconds each way; checksums that the sender left to its card stay right, large segments too."""
    line = lab.line("line", 10)
    one, two = lab.node("one"), lab.node("two")
    one.attach(line, "eth0", ["192.0.2.1/24", "2001:db8::1/64"])
    two.attach(line, "eth0", ["192.0.2.2/24", "2001:db8::2/64"])
    one.ping("192.0.2.2")
    one.ping("2001:db8::2")
    times = sorted(float(word) for word in re.findall(r"time=([\d.]+)", one.sh("ping -n -c100 -i0.01 192.0.2.2")))
    print(f"100 pings: median {times[50]} ms, 90 % within {times[90]} ms")
    assert times[0] >= 20
    with Probe(one, two, "192.0.2.2", 0.001) as probe:
        probe.flowing(packets=1000)
    assert probe.report.lost == (), str(probe.report)
    print(probe.report)
    print(f"TCP: {iperf3(one, two, '192.0.2.2', seconds=2):.0f} Mbit/s")
