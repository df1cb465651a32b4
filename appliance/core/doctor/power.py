"""Power and heat, as the kernel tells of them: texts of files below /sys in, sentences out.

Sources: Linux, Documentation/hwmon/raspberrypi-hwmon.rst (in0_lcrit_alarm), Documentation/driver-api/thermal/
sysfs-api.rst, arch/x86/kernel/cpu/mce/therm_throt.c; get_throttled (kernels of the board's maker): raspberrypi.com,
config.txt, vcgencmd.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.core.doctor.finding import Finding

FILES = (
    "devices/platform/soc/soc:firmware/get_throttled",
    "class/hwmon/hwmon*/name",
    "class/hwmon/hwmon*/in0_lcrit_alarm",
    "class/thermal/thermal_zone*/type",
    "class/thermal/thermal_zone*/temp",
    "class/thermal/thermal_zone*/trip_point_*_type",
    "class/thermal/thermal_zone*/trip_point_*_temp",
    "devices/system/cpu/cpu*/thermal_throttle/package_throttle_count",
)
"""What is read, as patterns below /sys."""

NEAR_CRITICAL = 10.0
"""Degrees below the point where the kernel switches off; boards without another trip point slow down there already."""

_UNDERVOLTAGE = {0: "now", 16: "since the start"}
_SLOWED = {1: "now", 2: "now", 3: "now", 17: "since the start", 18: "since the start", 19: "since the start"}


@dataclass(frozen=True, slots=True)
class Power:
    """What the files said that is not as it should be, in words; empty where all is well."""

    weak: tuple[str, ...] = ()
    slowed: tuple[str, ...] = ()


def read(before: Mapping[str, str], after: Mapping[str, str]) -> Power:
    """The files' texts by path below /sys, when the doctor came and when it was done."""
    weak, slowed = [], []
    for path, text in after.items():
        folder, _, file = path.rpartition("/")
        if file == "get_throttled":
            bits = _number(text, 16)
            weak += [
                f"{file} is 0x{bits:x}: undervoltage {when}" for bit, when in _UNDERVOLTAGE.items() if bits >> bit & 1
            ]
            slowed += sorted(
                {f"{file} is 0x{bits:x}: slowed {when}" for bit, when in _SLOWED.items() if bits >> bit & 1}
            )
        elif file == "in0_lcrit_alarm" and after.get(f"{folder}/name") == "rpi_volt" and text == "1":
            weak.append(f"/sys/{path} is 1: undervoltage now or a moment ago")
        elif file == "temp":
            slowed += _hot(folder, after)
        elif file == "package_throttle_count":
            more = _number(text) - _number(before.get(path, text))
            if more > 0:
                slowed.append(f"{folder.split('/')[3]} slowed itself down {more} times meanwhile because of its heat")
    # A processor that is slowed because its supply is weak is not too hot.
    return Power(tuple(weak), () if weak else tuple(slowed))


def power(seen: Power) -> Iterator[Finding]:
    if seen.weak:
        yield Finding(
            "undervoltage",
            "",
            "The power supply is too weak: its voltage falls below what the board needs, which slows the box down and "
            "may end it.",
            seen.weak,
            "take the board's own power supply with a short cable, and draw the USB devices that take much power",
        )
    if seen.slowed:
        yield Finding(
            "too-hot",
            "",
            "The box is too hot and slows itself down.",
            seen.slowed,
            "give it air, a heat sink or a fan, and a cooler place; see what keeps it busy: top",
        )


def _hot(folder: str, texts: Mapping[str, str]) -> Iterator[str]:
    """A zone that is at the point where it is slowed down."""
    degrees = _number(texts[f"{folder}/temp"]) / 1000
    limits = []
    for path, kind in texts.items():
        if path.startswith(f"{folder}/trip_point_") and path.endswith("_type"):
            limit = _number(texts.get(path.removesuffix("type") + "temp", "0")) / 1000
            limits += [limit] if kind in ("passive", "hot") else [limit - NEAR_CRITICAL] if kind == "critical" else []
    # A trip point of 0 or below is one that the firmware does not use.
    limits = [limit for limit in limits if limit > 0]
    if limits and degrees >= min(limits):
        yield f"{texts.get(f'{folder}/type', folder)}: {degrees:.0f} °C; it is slowed down from {min(limits):.0f} °C"


def _number(text: str, base: int = 10) -> int:
    try:
        return int(text, base)
    except ValueError:
        return 0
