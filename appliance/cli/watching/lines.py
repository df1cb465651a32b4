"""An answer of `status` as lines of a screen that is 80 columns wide.

Green is a peer with which data went both ways lately, and nothing else: a cable that is in and a partner that is heard
are no proof of more. What is out of order is red, what may be is yellow. In an old answer nothing is green.
"""

from __future__ import annotations

import time
from typing import Any

from rich.text import Text

from appliance.cli.watching.rates import Rates
from appliance.core.status_words import leads_out

TRIAL_WIDTH = 20
NAME = 24


def head(status: dict[str, Any]) -> str:
    """The line at the top; without colours."""
    if status["box"] is None:
        return "no configuration yet: appliance apply FILE"
    since = f" since {_clock(status['pair']['since'])}" if status.get("pair") else ""
    return f"{status['site']} {status['box']}: {status['role']}{since}"


def above(status: dict[str, Any], longest: float) -> Text:
    """All but the peers. `longest` is how long the trial had when it was first seen, in seconds."""
    said = Text()
    stands, forwards = status["firewall"]["stands"], status["forwarding"]
    said.append("firewall stands" if stands else "firewall differs", "" if stands else "red")
    said.append(", ").append("forwarding" if forwards else "not forwarding", "" if forwards else "yellow")
    generation = status["generation"]
    said.append(f", generation {generation}\n" if generation else ", nothing confirmed\n")
    _trial(said, status, longest)
    _pair(said, status.get("pair"))
    # Before what may be long: there are twelve lines.
    _networks(said, status)
    sentences_of = (("differs", status["pending"]), ("note", status["warnings"]), ("note", status["notices"]))
    for name, sentences in sentences_of:
        for sentence in sentences[:2]:
            said.append(f"{name}: ", "yellow").append(f"{sentence}\n")
        if len(sentences) > 2:
            said.append(f"and {len(sentences) - 2} more: appliance status\n", "yellow")
    said.rstrip()
    return said


def peers(status: dict[str, Any], rates: Rates, plain: bool, old: bool) -> Text:
    """Each tunnel and its peers. `old`: the supervisor does not answer any more."""
    said = Text(no_wrap=True, overflow="ellipsis")
    for tunnel in status["tunnels"]:
        up = sum(peer["state"] == "up" for peer in tunnel["peers"])
        engine = tunnel["engine"] or "no engine"
        said.append(f"{tunnel['name']}", "bold").append(f"  {engine}, port {tunnel['listen_port'] or '-'}, ")
        said.append(f"{up} of {len(tunnel['peers'])} up\n")
        for peer in tunnel["peers"]:
            _peer(said, peer, rates, plain, old)
    said.rstrip()
    return said


def columns() -> str:
    return f"{'peer':<{NAME}} {'state':<10} {'handshake':>11} {'in/s':>8} {'out/s':>8}"


def _peer(said: Text, peer: dict[str, Any], rates: Rates, plain: bool, old: bool) -> None:
    name, state = peer["name"].partition(".")[2], peer["state"]
    shown = name if len(name) <= NAME - 2 else f"{name[: NAME - 5]}..."
    colour = {"up": "" if old else "green", "idle": "yellow", "never seen": "yellow"}.get(state, "red")
    rate = rates.last(peer["name"])
    both = f"{_size(rate.received):>8} {_size(rate.sent):>8}" if rate and not old else f"{'-':>8} {'-':>8}"
    said.append(f"  {shown:<{NAME - 2}} ").append(f"{state:<10}", colour)
    said.append(f" {_age(peer['last_seen_seconds']):>11} {both} ")
    said.append(rates.curve(peer["name"], plain) + "\n")


def _trial(said: Text, status: dict[str, Any], longest: float) -> None:
    if trial := status["trial"]:
        left = trial["seconds_left"]
        full = round(TRIAL_WIDTH * min(1.0, left / longest)) if longest else 0
        said.append(f"on trial: generation {trial['generation']} of {trial['origin']}, goes in {left:.0f} s ", "yellow")
        said.append("#" * full + "." * (TRIAL_WIDTH - full) + "\n", "yellow")
        for fact in trial["not_seen_yet"][:2]:
            said.append("not seen yet: ", "yellow").append(f"{fact}\n")
    elif last := status["last_rollback"]:
        said.append(f"generation {last['number']} went back: ", "yellow").append(f"{last['why']}\n")


def _pair(said: Text, pair: dict[str, Any] | None) -> None:
    if pair is None:
        return
    for reason in pair["not_ready"][:2]:
        said.append("would not take over: ", "yellow").append(f"{reason}\n")
    partner = pair["partner"]
    if partner is None:
        said.append("the other box was not heard yet\n", "yellow")
    elif not partner["alive"]:
        said.append(f"{partner['box']} is not heard for {partner['heard_ago']:.0f} s", "red").append("\n")
    else:
        said.append(f"{partner['box']}: {partner['role']}, ")
        said.append("ready" if partner["ready"] else "not ready", "" if partner["ready"] else "yellow").append(", ")
        said.append("in step" if partner["in_step"] else "not in step", "" if partner["in_step"] else "yellow")
        last = pair["takeover"]
        back = last["first_handshake"] if last else None
        took = f", first peer after {back * 1000:.0f} ms" if back is not None else ""
        said.append(f"; last takeover {_clock(last['told'])}{took}\n" if last else "\n")


def _networks(said: Text, status: dict[str, Any]) -> None:
    uplinks = {each["name"]: each for each in status["uplinks"]}
    dead = (status.get("pair") or {}).get("dead_uplinks", ())
    for link in status["interfaces"]:
        cable = "cable in" if link["carrier"] else "cable out" if link["present"] else "no such device"
        uplink = uplinks.get(link["name"])
        addresses = [each for each in link["addresses"] if not each.startswith("fe80:")]
        said.append(f"{link['name']:<10} ").append(f"{cable:<15}", "" if link["carrier"] else "red")
        said.append(addresses[0] if addresses else "no address", "" if addresses else "yellow")
        said.append(f" and {len(addresses) - 1} more" if len(addresses) > 1 else "")
        if uplink:
            gateways = " ".join(each for each in uplink["gateways"] if each)
            leads = leads_out(uplink, status.get("pair"))
            nowhere = "" if leads or not link["carrier"] else " no session" if "session" in uplink else " no gateway"
            said.append(f" via {gateways}" if gateways else nowhere, "" if gateways else "yellow")
        if link["name"] in dead:
            said.append(", which does not answer", "red")
        said.append("\n")


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 600:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
