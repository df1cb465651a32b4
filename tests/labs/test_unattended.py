"""What stands in for a supervisor (/usr/lib/appliance/unattended), second by second, with programs that answer it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "rootfs-overlay/usr/lib/appliance/unattended"

SYSTEMCTL = """\
#!/bin/sh
# appliance is there again when no second is left; keepalived is what this second says.
case "$1 $2 $3" in
"is-active --quiet appliance") [ ! -s seconds ] ;;
"is-active appliance-vrrp "*) read -r state role <seconds; echo "$state" ;;
"start appliance-vrrp "*) echo "started keepalived" >>done ;;
esac
"""
IP = """\
#!/bin/sh
case "$*" in
"rule show priority 5040") read -r state role <seconds; [ "$role" != master ] || echo "5040: goto 5050" ;;
"-o link") printf '1: lo: <UP>\\n7: lease-wan@enp1s0: <UP>\\n' ;;
*) echo "ip $*" >>done ;;
esac
"""
SLEEP = """\
#!/bin/sh
cat ready >>numbers
sed -i 1d seconds
"""


def numbers(folder: Path, *seconds: str) -> list[int]:
    """What keepalived was told at the end of each second."""
    for name, text in (("systemctl", SYSTEMCTL), ("ip", IP), ("sleep", SLEEP)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "ready").write_text("100\n")
    (folder / "seconds").write_text("".join(f"{each}\n" for each in seconds))
    path = {"PATH": f"{folder}:/usr/bin:/bin"}
    ran = subprocess.run([SCRIPT, "ready"], cwd=folder, env=path, capture_output=True, text=True, timeout=30)
    assert (ran.returncode, ran.stderr) == (0, "")
    return [int(line) for line in (folder / "numbers").read_text().split()]


def done(folder: Path) -> list[str]:
    return list(dict.fromkeys((folder / "done").read_text().splitlines()))


def test_a_master_waits_for_ten_seconds(tmp_path: Path) -> None:
    assert numbers(tmp_path, *["active master"] * 12) == [*[100] * 10, 50, 50]
    assert done(tmp_path) == ["ip link set lease-wan up"]


def test_a_standby_is_unfit_at_once_and_stays_so(tmp_path: Path) -> None:
    assert numbers(tmp_path, "active backup", *["active master"] * 11) == [-20] * 12
    assert done(tmp_path) == ["ip link set lease-wan down", "ip link set lease-wan up"]


def test_a_master_that_lost_the_role_does_not_want_it_back(tmp_path: Path) -> None:
    assert numbers(tmp_path, "active master", "active backup", "active master") == [100, -20, -20]


def test_a_keepalived_that_was_killed_is_started_when_no_supervisor_is_back_soon(tmp_path: Path) -> None:
    assert numbers(tmp_path, "active master", *["failed master"] * 3, "active backup") == [100, 100, 100, -20, -20]
    assert "started keepalived" in done(tmp_path)


@pytest.mark.parametrize("state", ["inactive", "activating"])
def test_a_keepalived_that_was_stopped_is_left_alone(tmp_path: Path, state: str) -> None:
    assert numbers(tmp_path, *[f"{state} backup"] * 12) == [100] * 12
    assert not (tmp_path / "done").exists()
