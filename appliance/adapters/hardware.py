"""Network cards and the processor, as ethtool(8) and sysfs tell of them and let them be set."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from appliance.adapters.errors import Refused
from appliance.core.tuning import Card, Processor, Setting

SECONDS = 10.0
CPUFREQ = "sys/devices/system/cpu/cpufreq"
CONTAINER = "run/systemd/container"
"""systemd writes it where a container's machine is another's (container interface, "Networking")."""


class Hardware:
    """What this machine has; nothing in a container, whose machine is not its own. `root` is / on a running box."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def cards(self) -> tuple[str, ...]:
        """The devices that hang on a bus: no tunnel, bridge, VLAN or veth."""
        if (self.root / CONTAINER).exists():
            return ()
        return tuple(sorted(path.parent.name for path in (self.root / "sys/class/net").glob("*/device")))

    def card(self, device: str) -> Card:
        ring = next(iter(_ethtool("--json", "--show-ring", device)), {})
        features = next(iter(_ethtool("--json", "--show-features", device)), {})
        now, most = ring.get("rx"), ring.get("rx-max")
        return Card(
            device,
            (now, most) if isinstance(now, int) and isinstance(most, int) else None,
            {
                name: bool(state["active"])
                for name, state in features.items()
                if isinstance(state, dict) and state.get("fixed") is False
            },
            self._masks(device, "rx-*/rps_cpus"),
            self._masks(device, "tx-*/xps_cpus"),
        )

    def _masks(self, device: str, pattern: str) -> dict[str, int]:
        found = {}
        for path in (self.root / "sys/class/net" / device / "queues").glob(pattern):
            # A card with one queue has the file, and an error in it.
            with contextlib.suppress(OSError, ValueError):
                found[path.parent.name] = int(path.read_text().strip().replace(",", ""), 16)
        return found

    def processor(self) -> Processor:
        if (self.root / CONTAINER).exists():
            return Processor()
        governors = {}
        for policy in (self.root / CPUFREQ).glob("policy*"):
            with contextlib.suppress(OSError):
                available = (policy / "scaling_available_governors").read_text().split()
                governors[policy.name] = ((policy / "scaling_governor").read_text().strip(), tuple(available))
        return Processor(os.cpu_count() or 1, governors)

    def set(self, setting: Setting) -> None:
        """Raises Refused with what the driver or the kernel says."""
        if setting.name == "rx":
            _change("--set-ring", setting.subject, "rx", setting.wanted)
        elif "/" in setting.name:
            self._write(self.root / "sys/class/net" / setting.subject / "queues" / setting.name, setting)
        elif setting.name == "scaling_governor":
            self._write(self.root / CPUFREQ / setting.subject / setting.name, setting)
        else:
            _change("--features", setting.subject, setting.name, setting.wanted)

    def _write(self, path: Path, setting: Setting) -> None:
        try:
            path.write_text(setting.wanted)
        except OSError as error:
            raise Refused(f"{setting}: {error.strerror}") from None


def _run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ethtool", *arguments], capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise Refused("ethtool is not installed") from None
    except subprocess.TimeoutExpired:
        raise Refused(f"`ethtool {' '.join(arguments)}` did not end within {SECONDS:.0f} s") from None


def _change(*arguments: str) -> None:
    done = _run(*arguments)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise Refused(f"`ethtool {' '.join(arguments)}` failed: {said or done.returncode}")


def _ethtool(*arguments: str) -> list[dict[str, Any]]:
    """What it tells; nothing of what a driver has no answer to."""
    try:
        found = json.loads(_run(*arguments).stdout)
    except (Refused, ValueError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
