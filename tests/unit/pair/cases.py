"""The case folders, and what each box of a pair gets from one.

`python3 -m tests.unit.pair.cases`, run from the top of the checkout, writes every expected file anew; the diff is for
a person to read. It is a command and not a test, since unit tests may not write into the checkout.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from appliance.core.check import check
from appliance.core.model import Config
from appliance.core.pair.addresses import pair_addresses, pair_endpoints
from appliance.core.pair.files import pair_files
from appliance.core.pair.instances import hearing_devices, role_line
from appliance.core.pair.lease_files import network_files
from appliance.core.pair.leases import leased_uplinks
from appliance.core.pair.routing import pair_rules
from appliance.core.pppoe import options_files
from appliance.core.state import MAIN_TABLE, NO_TABLE, Rule

CASES = sorted(folder for folder in (Path(__file__).parent / "cases").iterdir() if folder.is_dir())


def loaded(folder: Path) -> Config:
    config, _ = check((folder / "appliance.yaml").read_bytes())
    return config


def rendered(folder: Path) -> dict[str, str]:
    """By name below the case's folder (alpha/keepalived.conf): the text of each file, for each box."""
    config = loaded(folder)
    found = {}
    for box in config.boxes:
        for path, text in pair_files(config, box).items():
            found[f"{box}/{PurePosixPath(path).name}"] = text
        if pair_files(config, box):
            found[f"{box}/network.txt"] = _network(config, box)
    return found


def _network(config: Config, box: str) -> str:
    """Everything that is a value and not a file, as ip(8) would say it, and how networkd leaves the uplinks alone."""
    own, partner = pair_addresses(config, box)
    endpoints = pair_endpoints(config, box)
    assert endpoints
    lines = [f"pair link: {own} to {partner}, over {endpoints[0]} to {endpoints[1]}"]
    lines.append(f"hears on: {' '.join(hearing_devices(config, box))}")
    lines.append('master when the FIFO says: {} "{}" MASTER'.format(*role_line(config, box)))
    lines += [f"ip -{rule.family} rule add {rule_words(rule)}" for rule in pair_rules(config, box)]
    for path, text in network_files(config, box).items():
        name = PurePosixPath(path).name.removeprefix("50-appliance-").split(".")[0]
        if config.boxes[box].interfaces[name].is_uplink:
            lines += ["", *text.splitlines()[1:]]
    for path, text in options_files(config, box).items():
        lines += ["", f"{path}:", *text.splitlines()[1:]]
    for each in leased_uplinks(config, box):
        lines += ["", f"ip link add {each.device} link {each.parent} address {each.mac} type macvlan mode private"]
    return "\n".join(lines) + "\n"


def rule_words(rule: Rule) -> str:
    """As ip-rule(8) takes them."""
    assert rule.mark is not None and rule.mask is not None
    text = f"priority {rule.priority}" + (f" to {rule.destination}" if rule.destination else "")
    text += f" fwmark {rule.mark:#x}/{rule.mask:#x}"
    if rule.table == NO_TABLE:
        return f"{text} blackhole"
    text += f" lookup {'main' if rule.table == MAIN_TABLE else rule.table}"
    return (
        text if rule.suppress_prefix_length is None else f"{text} suppress_prefixlength {rule.suppress_prefix_length}"
    )


if __name__ == "__main__":
    for case in CASES:
        texts = rendered(case)
        for stale in [*case.glob("*/*.conf"), *case.glob("*/*.txt")]:
            if str(stale.relative_to(case)) not in texts:
                stale.unlink()
        for name, content in texts.items():
            (case / name).parent.mkdir(exist_ok=True)
            (case / name).write_text(content, encoding="utf-8")
