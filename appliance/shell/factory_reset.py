"""A factory reset is asked for here, and done by the next boot, before anything of the box's runs (first-mounts)."""

from __future__ import annotations

from appliance.adapters import systemd
from appliance.adapters.errors import Refused
from appliance.adapters.files import write_whole
from appliance.core.reset_code import reset_code
from appliance.shell.paths import Paths

__all__ = ["Refused", "code", "possible", "request"]


def possible(paths: Paths) -> bool:
    """Whether this system runs from a disk whose boot would do it, and keeps anything at all."""
    booted = paths.root / "run/appliance-image"
    return booted.is_dir() and not (booted / "no-data").exists()


def code(paths: Paths) -> str:
    """The box's own. Raises OSError where it has no identity."""
    return reset_code((paths.root / "etc/machine-id").read_text())


def request(paths: Paths) -> None:
    """From now on any boot does it; this asks for one. Raises Refused."""
    write_whole(paths.factory_reset, b"asked for\n", 0o600)
    systemd.reboot()
