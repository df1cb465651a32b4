"""Units and networkd, through systemctl and networkctl."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from appliance.adapters.errors import Refused
from appliance.adapters.networkd_state import given_up

SECONDS = 15.0
CGROUPS = Path("/sys/fs/cgroup/system.slice")
VRRP_UNIT = "appliance-vrrp.service"
CONNTRACKD_UNIT = "appliance-conntrackd.service"
UNATTENDED_UNIT = "appliance-unattended.service"
TRIAL_UNIT = "appliance-trial"
SSH_UNIT = "appliance-ssh.service"
MONITORING_UNIT = "appliance-monitoring.service"
FETCH_UNIT = "appliance-bundle-fetch.service"


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Refused(f"`{' '.join(command)}` did not end within {SECONDS:.0f} s") from None
    except FileNotFoundError:
        raise Refused(f"{command[0]} is not installed") from None
    if done.returncode:
        message = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
        raise Refused(f"`{' '.join(command)}` failed: {message}")
    return done.stdout.decode(errors="replace")


def engine_unit(device: str) -> str:
    """The unit that runs the userspace engine of a tunnel."""
    return f"appliance-engine@{device}.service"


def pppoe_unit(device: str) -> str:
    """The unit that runs pppd for a PPPoE session."""
    return f"appliance-pppoe@{device}.service"


def clock_unit(booted: float) -> str:
    """The unit that sets the clock: to what makes `booted`, in seconds since 1970, the time of the boot."""
    return f"appliance-clock@{booted:.3f}.service"


def restart_engine(device: str) -> None:
    """Kills an engine that hangs; its unit starts another at once."""
    with contextlib.suppress(Refused):
        _run("systemctl", "kill", "--signal=KILL", engine_unit(device))


def shutting_down() -> bool:
    """Whether the whole machine is (systemctl(1), is-system-running)."""
    try:
        done = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "stopping"


def start(unit: str) -> None:
    _run("systemctl", "start", unit)


def restart(unit: str) -> None:
    """Starts it where it does not run."""
    _run("systemctl", "restart", unit)


def start_later(unit: str) -> None:
    """Asks for it and does not wait."""
    _run("systemctl", "start", "--no-block", unit)


def restart_later(unit: str) -> None:
    """Asks for the restart, and does not wait for it."""
    _run("systemctl", "restart", "--no-block", unit)


def stop(unit: str) -> None:
    _run("systemctl", "stop", unit)


def stop_later(unit: str) -> None:
    """Asks for it and does not wait."""
    _run("systemctl", "stop", "--no-block", unit)


def reboot() -> None:
    """Asks for it and does not wait."""
    _run("systemctl", "reboot", "--no-block")


def running(unit: str) -> bool:
    """Whether the unit runs or is about to (a job is queued); one that starts again by itself is deactivating in
    between."""
    with contextlib.suppress(Refused):
        return _running(unit)
    return False


def _running(unit: str) -> bool:
    """Raises Refused where systemd does not say."""
    lines = _run("systemctl", "show", "--property=ActiveState,Job", unit).splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    running = found.get("ActiveState") in ("active", "activating", "reloading", "deactivating")
    return running or found.get("Job", "0") not in ("", "0")


def state(unit: str) -> dict[str, str]:
    """The unit in systemd's own words: LoadState, ActiveState, Result. Raises Refused."""
    lines = _run("systemctl", "show", "--property=LoadState,ActiveState,Result", unit).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def main_pid(unit: str) -> int:
    """The unit's main process, 0 when it does not run."""
    return int(_run("systemctl", "show", "--property=MainPID", "--value", unit).strip() or "0")


def acts(unit: str) -> bool:
    """Whether any process of the unit can still do something (cgroups(7)); no program is started to find out.

    One that was killed is listed for as long as the kernel closes its sockets, tens of milliseconds; its memory is gone
    before that (statm in proc(5); do_exit in kernel/exit.c).
    """
    with contextlib.suppress(OSError):
        return any(map(_has_memory, (CGROUPS / unit / "cgroup.procs").read_text().split()))
    return False


def _has_memory(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return not Path(f"/proc/{pid}/statm").read_text().startswith("0 ")
    return False


def reload_if_running(unit: str) -> None:
    """Raises Refused."""
    if _running(unit):
        _run("systemctl", "reload", unit)


def restart_if_running(unit: str) -> None:
    _run("systemctl", "try-restart", unit)


def arm_trial(trial: str, seconds: float, command: Sequence[str]) -> None:
    """Has systemd run the command after so long by the monotonic clock, whatever becomes of this process.

    A unit of its own for each trial: the one before may still be running the command.
    """
    _run(
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={TRIAL_UNIT}-{trial}",
        f"--on-active={seconds:.3f}s",
        "--timer-property=AccuracySec=100ms",
        "--property=Type=oneshot",
        *command,
    )


def disarm_trial() -> None:
    """A trial's end is not waited for any more. Harmless when none is."""
    with contextlib.suppress(Refused):
        _run("systemctl", "stop", f"{TRIAL_UNIT}-*.timer")


def trial_armed() -> bool:
    """Whether any trial's end is waited for."""
    with contextlib.suppress(Refused):
        return bool(_run("systemctl", "list-units", "--no-legend", f"{TRIAL_UNIT}-*.timer").strip())
    return False


def reload_networkd(devices: tuple[str, ...]) -> None:
    """networkd sets up again the links whose file changed, and `devices` in any case.

    What it has given up comes first: met by a reload with its file as before, such a link is never set up again, by
    whatever command (networkd 257).
    """
    for device in sorted(given_up()):
        reconfigure_link(device)
    _run("networkctl", "reload")
    for device in devices:
        reconfigure_link(device)


def reconfigure_link(device: str) -> None:
    """networkd sets the link up anew, by the file that it has read."""
    _run("networkctl", "reconfigure", device)


def reload_resolved() -> None:
    _run("systemctl", "try-reload-or-restart", "systemd-resolved.service")
