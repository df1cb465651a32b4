"""The box itself: its supervisor, its configuration, its power, its disks, its engines."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.core.doctor.evidence import Evidence
from appliance.core.doctor.finding import Finding
from appliance.core.doctor.pair import two_masters
from appliance.core.doctor.power import power

LEAST_BYTES = 8 << 20
"""Below that the next generation, a receipt or the floor of time may not fit (docs/DESIGN.md, Trials)."""


def supervisor(evidence: Evidence) -> Iterator[Finding]:
    """Without it, or without a configuration, nothing else can be judged."""
    if evidence.supervisor:
        what, do = (
            ("hangs", "wait half a minute, systemd starts it anew; if it hangs again: sudo systemctl restart appliance")
            if evidence.hangs
            else ("does not run", "sudo systemctl start appliance")
        )
        yield Finding(
            "supervisor",
            "",
            f"The supervisor {what}, so nothing is changed, repaired or watched; what was set up goes on.",
            (evidence.supervisor,),
            f"{do}; why: journalctl -u appliance -n 50",
        )
    elif not evidence.box:
        reasons = evidence.refused or ("no generation was confirmed on this box",)
        yield Finding(
            "no-configuration",
            "",
            "The box has no configuration that it could run, and forwards nothing.",
            reasons,
            "appliance setup, or appliance apply FILE and appliance confirm",
        )


def box(evidence: Evidence) -> Iterator[Finding]:
    """Power, disks, engines, and addresses that somebody else uses."""
    yield from power(evidence.power)
    for disk in evidence.disks:
        if disk.free < LEAST_BYTES or not disk.files_left:
            what = f"{disk.free >> 10} kB of {disk.total >> 20} MB free" if disk.files_left else "no file can be added"
            yield Finding(
                "disk-full",
                disk.path,
                f"The disk under {disk.path} is full: what runs goes on, but nothing new can be applied or noted.",
                (f"{disk.path}: {what}",),
                f"find what takes the space, sudo du -xh {disk.path} | sort -h | tail, and remove it",
            )
    for tunnel in evidence.tunnels:
        wanted = tunnel.engine_wanted == "kernel"
        if tunnel.engine == "userspace" and (wanted or evidence.module):
            why = "the file says `engine: kernel`" if wanted else "this kernel has one that is several times as fast"
            module = f"{evidence.module} belongs to this kernel, and is not loaded" if evidence.module else ""
            yield Finding(
                "engine",
                tunnel.name,
                f"Tunnel {tunnel.name} runs on the userspace engine although {why}.",
                tuple(filter(None, (f"{tunnel.device} is a tun device", module))),
                "see what `sudo modprobe wireguard` and `journalctl -k` say"
                + ("; without a module, write `engine: auto`" if wanted else ""),
            )
    for taken in () if two_masters(evidence) else evidence.taken:
        yield Finding(
            "address-taken",
            taken.address,
            f"Another host on {taken.device} uses {taken.address}, which is this box's.",
            (f"{taken.mac} answered when {taken.device} was asked who has {taken.address}",),
            f"find the host with that hardware address and give it another address, or take it out of reach on "
            f"{taken.device}",
        )
