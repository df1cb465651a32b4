"""The show: an office from dark boxes to traffic, and one thing that breaks and is put right."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.syntax import Syntax

from tests.demo.screen import Screen
from tests.lab import Node, Probe, iperf3, wait_for
from tests.labs import office as scene
from tests.labs.office import ALICE, BRANCH_HOST, OFFICE_HOST, Office, in_order

INTERNET = "203.0.113.1"
WEB = "www.example.net"
GREETER = Path(__file__).with_name("greeter.py")


def run(screen: Screen, office: Office) -> None:
    """All phases in their order. Raises AssertionError where going on makes no sense."""
    _boot(screen, office)
    _topology(screen)
    _configure(screen, office)
    _reach(screen, office)
    _throughput(screen, office)
    _status(screen, office)
    _heal(screen, office)


def _boot(screen: Screen, office: Office) -> None:
    with screen.phase("Two boxes boot; a branch, a home and a piece of internet are wired up"):
        with screen.waiting("booting"):
            office.build()
            office.names(
                {"geneva.example.net": scene.GENEVA_WAN, "zurich.example.net": scene.ZURICH_WAN, WEB: INTERNET}
            )
            # The nodes share the world's files: this is their name server, across their own gateways.
            Path("/etc/resolv.conf").write_text(f"nameserver {INTERNET}\n")
            for node, name in ((office.internet, WEB), (office.host, "the office host")):
                server = node.popen(sys.executable, "-I", str(GREETER), name)
                assert server.stdout is not None
                server.stdout.readline()
        for box in (office.zurich, office.geneva):
            kernel = box.sh("systemctl is-system-running", check=False)
            screen.check(kernel == "running", f"{box.name} runs {box.boot_ms} ms after power on: {_version(box)}")
        screen.line("[dim]No configuration yet: the firewall stands, and nothing is forwarded.[/]")


def _version(box: Node) -> str:
    release = dict(line.split("=", 1) for line in box.sh("cat /etc/os-release").splitlines() if "=" in line)
    version = box.run("appliance", "--version").stdout.strip()
    return f"{release['PRETTY_NAME'].strip(chr(34))}, {version}"


def _topology(screen: Screen) -> None:
    with screen.phase("Who is where"):
        drawing = (scene.__doc__ or "").split("\n", 2)[2].rstrip()
        for line in drawing.replace("[", r"\[").splitlines():
            line = re.sub(r"\b(zurich|geneva)\b", r"[bold]\1[/]", line)
            line = re.sub(r"(═+) office (═*)", r"[green]\1 office \2[/]", line)
            screen.console.print(f"{line}", no_wrap=True)


def _configure(screen: Screen, office: Office) -> None:
    with screen.phase("zurich is handed one file"):
        text = office.yaml("zurich").rstrip()
        for line in Syntax(text, "yaml", theme="ansi_dark", background_color="default").highlight(text).split():
            screen.console.print(" " * 4, line, sep="", no_wrap=True)
    with screen.phase("appliance apply: on geneva, then on zurich, which says"):
        with screen.waiting("applying"):
            office.apply(office.geneva)
            said = office.apply(office.zurich)
        screen.said(said)
        with screen.waiting("the laptop's wg-quick"):
            # Applying again does nothing; what is new is the laptop.
            office.go_online()
        screen.line()
        screen.check("read back" in said, "the laptop came up, too, with plain wg-quick and a file of its own")


def _reach(screen: Screen, office: Office) -> None:
    """Every way that the file allows, and two that it does not."""
    ways = (
        (office.host, BRANCH_HOST, "office host → branch host", "through the tunnel"),
        (office.branch_host, OFFICE_HOST, "branch host → office host", "through the tunnel"),
        (office.laptop, OFFICE_HOST, "laptop      → office host", "from behind somebody's NAT, through the tunnel"),
        (office.laptop, "10.20.0.2", "laptop      → geneva", "from peer to peer, for which the file has a line"),
        (office.host, INTERNET, "office host → internet", "masqueraded"),
    )
    with screen.phase("Pings, both ways"):
        for node, address, words, how in ways:
            with screen.waiting(words):
                times = _ping(node, address)
            shown = "  ".join(f"{each:5.2f}" for each in times) + " ms" if times else "[red]no answer[/]"
            screen.check(len(times) == 3, f"{words:26} {address:15} {shown:26} [dim]{how}[/]")
        for node, address, words in (
            (office.host, ALICE, "office host → laptop"),
            (office.internet, OFFICE_HOST, "internet    → office host"),
        ):
            if node is office.internet:
                node.run("ip", "route", "replace", "192.168.10.0/24", "via", scene.ZURICH_WAN)
            answered = node.pings(address)
            shown = "[red]answered[/]" if answered else "no answer"
            screen.check(not answered, f"{words:26} {address:15} {shown:26} [dim]nobody allowed it[/]")


def _ping(node: Node, address: str) -> list[float]:
    """Milliseconds of three pings, once the first one came through."""
    try:
        node.ping(address, timeout=15)
    except AssertionError:
        return []
    said = node.run("ping", "-n", "-c3", "-i0.1", "-W1", address, check=False).stdout
    return [float(each) for each in re.findall(r"time=([\d.]+)", said)]


def _throughput(screen: Screen, office: Office) -> None:
    with screen.phase("Throughput, TCP, as the receiver counted it"):
        for source, target, address, words, how in (
            (
                office.host,
                office.branch_host,
                BRANCH_HOST,
                "office host → branch host",
                "encrypted by one box, decrypted by the other",
            ),
            (office.host, office.internet, INTERNET, "office host → internet", "firewall and NAT"),
        ):
            try:
                with screen.waiting(words):
                    mbit = iperf3(source, target, address, 2)
            except AssertionError as error:
                screen.check(False, f"{words:26} [red]{error}[/]")
            else:
                screen.check(mbit > 0, f"{words:26} [bold]{mbit:8,.0f} Mbit/s[/]   [dim]{how}[/]")
        screen.line("[dim]Everything here shares this machine's processors; a real box has its own.[/]")


def _status(screen: Screen, office: Office) -> None:
    with screen.phase("appliance status, on zurich"):
        done = office.zurich.run(screen.environment(), "appliance", "status", check=False)
        screen.said(done.stdout + done.stderr)
        screen.line()
        screen.check(done.returncode == 0, "read from the system at this moment, and all is as the file says")


def _heal(screen: Screen, office: Office) -> None:
    zurich = office.zurich
    with screen.phase("kill -9 of zurich's WireGuard engine, while packets flow every 10 ms"):
        with screen.waiting("sending"):
            with Probe(office.host, office.branch_host, BRANCH_HOST) as probe:
                probe.flowing(packets=50)
                before = _engine(office)
                zurich.run("kill", "-9", before)
                wait_for(lambda: _engine(office) not in ("0", before), 10, "the engine runs again")
                in_order(zurich, 10)
                probe.flowing(timeout=15, packets=50)
        report = probe.report
        repair = [
            line
            for line in zurich.journal("-u", "appliance", "-o", "cat").splitlines()
            if "put right in" in line and "add, engine" in line
        ]
        screen.check(
            report.received > 100,
            f"longest gap [bold]{report.longest_gap_ms:.0f} ms[/],"
            f" {report.sent - report.received} of {report.sent} packets lost; nobody had to do anything",
        )
        if repair:
            screen.line(f"[dim]the supervisor's journal: {repair[-1].split(': ')[0]}, noticed by event[/]")
        if not office.laptop.pings(OFFICE_HOST):
            screen.line("[dim]Where the laptop is, only the old engine knew: it calls again by itself, within 15 s.[/]")


def _engine(office: Office) -> str:
    return office.zurich.sh("systemctl show --property=MainPID --value appliance-engine@wg-office")
