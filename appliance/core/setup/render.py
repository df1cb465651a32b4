"""Answers → the text of appliance.yaml. The same answers always give the same text."""

from __future__ import annotations

import json
import re

from appliance.core.setup.seen import Answers

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.:/@+= -]*[A-Za-z0-9=]|[A-Za-z]|[0-9.]+|[0-9a-f.:/]+")
_WORDS = ("null", "true", "false")
NONE = "none"
PROVIDER_SECRET = "provider"  # noqa: S105
"""The name under which the box keeps the password of PPPoE."""
_LENT = ("dhcp", "pppoe")


def render(answers: Answers) -> str:
    """The file. Every question of the path that these answers take must have its answer."""
    parts = [
        f"# The office gateway of {_line(answers['site'])}, begun with `appliance setup`.",
        "# Change it here, then: sudo appliance apply",
        "version: 1",
        f"site: {word(answers['site'])}",
        "",
        "boxes:",
        *_boxes(answers),
        *_failover(answers),
        *_dns(answers),
        *_tunnel(answers),
        "",
        "firewall:",
        "  allow:                 # what may pass; everything else is dropped and counted",
        "    - {from: lan, to: wan}",
        "  masquerade: [wan]",
        *_people("administrators", "who may log in by ssh, as admin, with sudo", answers, "admin", "  "),
        *_people("trust", "who may sign bundles for this site", answers, "signer", "    ", "  keys:"),
    ]
    return "\n".join(parts) + "\n"


def word(text: str) -> str:
    """A scalar that YAML reads as this very text (or number), in quotes where it would not."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not re.search(r": |:\Z", text):
        return text
    return json.dumps(text)


def _quoted(text: str) -> str:
    """Text, also where it looks like a number: a user name may be one."""
    return json.dumps(text) if text.replace(".", "").replace(":", "").isdigit() else word(text)


def _line(text: str) -> str:
    """For a comment: nothing that would end its line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _flow(text: str) -> str:
    words = [word(each) for each in text.replace(",", " ").split()]
    return words[0] if len(words) == 1 else f"[{', '.join(words)}]"


def _boxes(answers: Answers) -> list[str]:
    uplink = [f"device: {word(answers['uplink'])}"]
    lan = f"device: {word(answers['lan'])}"
    if answers["address"] in _LENT or answers["pair"] != "first":
        uplink.append(f"address: {word(answers['address'])}")
    if answers["address"] not in _LENT:
        uplink.append(f"gateway: {word(answers['gateway'])}")
    if answers["address"] == "pppoe":
        uplink.append(f"pppoe: {{user: {_quoted(answers['ppp_user'])}, password: {{secret: {PROVIDER_SECRET}}}}}")
    if answers["pair"] == "first":
        own = {answers["box"]: answers["lan_own"], answers["partner"]: answers["lan_partner"]}
    else:
        own = {answers["box"]: answers["lan_address"]}
    lines = []
    for box, address in own.items():
        lines += [
            f"  {word(box)}:",
            "    interfaces:",
            f"      wan: {{{', '.join(uplink)}}}",
            f"      lan: {{{lan}, address: {word(address)}}}",
        ]
    return lines


def _failover(answers: Answers) -> list[str]:
    if answers["pair"] != "first":
        return []
    # A lease and a session move by themselves.
    wan = [f"    wan: {word(answers['address'])}"] if answers["address"] not in _LENT else []
    return [
        "",
        "failover:",
        f"  prefer: {word(answers['box'])}",
        "  virtual_addresses:     # what the office and the internet talk to, whichever box is master",
        *wan,
        f"    lan: {word(answers['lan_address'])}",
        "  pair_link: lan",
    ]


def _dns(answers: Answers) -> list[str]:
    servers = answers.get("dns", NONE)
    return [] if servers == NONE else ["", f"dns: {_flow(servers)}"]


def _tunnel(answers: Answers) -> list[str]:
    if answers["tunnel"] == NONE:
        return []
    reached = answers["reached_at"]
    comment = [] if reached == NONE else [f"    # From outside: {_line(endpoint(answers))}"]
    return [
        "",
        "tunnels:",
        f"  {word(answers['tunnel'])}:               # colleagues and sites: sudo appliance peer add NAME --allow lan",
        *comment,
        f"    listen_port: {word(answers['port'])}",
        f"    addresses: [{word(answers['tunnel_address'])}]",
    ]


def endpoint(answers: Answers) -> str:
    """Where peers find the tunnel, HOST:PORT; "" where that is not known."""
    host = answers.get("reached_at", NONE)
    if host == NONE:
        return ""
    return f"[{host}]:{answers['port']}" if ":" in host else f"{host}:{answers['port']}"


def _people(section: str, what: str, answers: Answers, question: str, indent: str, within: str = "") -> list[str]:
    name = answers[question]
    if name == NONE:
        return []
    lines = ["", f"{section}:".ljust(24) + f" # {what}", *([within] if within else [])]
    return [*lines, f"{indent}{word(name)}: {word(answers[f'{question}_key'])}"]
