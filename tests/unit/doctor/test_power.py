"""What the kernel's files say of power and heat. Texts as a Raspberry Pi 4, a Pi with its maker's kernel and a mini-PC
have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.adapters import board
from appliance.core.doctor.power import FILES, Power, read

PI = {
    "class/hwmon/hwmon0/name": "cpu_thermal",
    "class/hwmon/hwmon1/name": "rpi_volt",
    "class/hwmon/hwmon1/in0_lcrit_alarm": "0",
    "class/thermal/thermal_zone0/type": "cpu-thermal",
    "class/thermal/thermal_zone0/temp": "48686",
    "class/thermal/thermal_zone0/trip_point_0_type": "critical",
    "class/thermal/thermal_zone0/trip_point_0_temp": "90000",
}
GET_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
COUNT = "devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
PC = {
    "class/thermal/thermal_zone0/type": "acpitz",
    "class/thermal/thermal_zone0/temp": "27800",
    "class/thermal/thermal_zone0/trip_point_0_type": "active",
    "class/thermal/thermal_zone0/trip_point_0_temp": "20000",
    "class/thermal/thermal_zone1/type": "x86_pkg_temp",
    "class/thermal/thermal_zone1/temp": "51000",
    "class/thermal/thermal_zone1/trip_point_0_type": "passive",
    "class/thermal/thermal_zone1/trip_point_0_temp": "0",
    COUNT: "17",
}

CASES: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "a Pi that is well": (PI, {}, "", ""),
    "a Pi's alarm": (PI, {"class/hwmon/hwmon1/in0_lcrit_alarm": "1"}, "hwmon1/in0_lcrit_alarm is 1", ""),
    "the alarm of another chip": (PI, {"class/hwmon/hwmon0/in0_lcrit_alarm": "1"}, "", ""),
    "a Pi that is hot": (PI, {"class/thermal/thermal_zone0/temp": "81300"}, "", "cpu-thermal: 81 °C"),
    "the maker's kernel, well": (PI, {GET_THROTTLED: "0"}, "", ""),
    "undervoltage now": (PI, {GET_THROTTLED: "50005"}, "0x50005: undervoltage now", ""),
    "undervoltage a while ago": (PI, {GET_THROTTLED: "50000"}, "undervoltage since the start", ""),
    "slowed by heat only": (PI, {GET_THROTTLED: "80008"}, "", "slowed now"),
    "a PC that is well; fans have trip points too, and some have none": (PC, {}, "", ""),
    "a PC that slows itself down": (PC, {COUNT: "20"}, "", "cpu0 slowed itself down 3 times"),
    "texts that are no numbers": (PI, {GET_THROTTLED: "?", "class/thermal/thermal_zone0/temp": ""}, "", ""),
    "no such files": ({}, {}, "", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_from_the_files(case: str) -> None:
    before, later, weak, slowed = CASES[case]
    found = read(before, before | later)
    assert bool(found.weak) == bool(weak) and weak in " ".join(found.weak)
    assert bool(found.slowed) == bool(slowed) and slowed in " ".join(found.slowed)


def test_the_files_are_found_below_sys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "SYS", tmp_path)
    for path, text in PI.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")
    assert board.texts(FILES) == PI
    assert read(PI, board.texts(FILES)) == Power()


def test_a_module_is_found_where_it_is_built_in_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "MODULES", tmp_path)
    assert board.module("wireguard") == ""
    folder = tmp_path / board.os.uname().release
    folder.mkdir()
    (folder / "modules.dep").write_text("kernel/net/wireguard_other.ko:\nkernel/net/wireguard.ko.xz: kernel/a.ko.xz\n")
    assert board.module("wireguard") == "kernel/net/wireguard.ko.xz"
