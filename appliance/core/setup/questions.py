"""The questions of the wizard, in their order: which are asked, what they offer, and what may be answered.

Nothing is offered that `check` would refuse: an answer is right when the file that follows from it, with the defaults
of everything that is still to be asked, passes the same check that every appliance.yaml passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Interface, ip_interface
from itertools import islice

from appliance.core.check import check
from appliance.core.pair.enrolment import read_code
from appliance.core.problems import ConfigurationError
from appliance.core.secret_text import LONGEST, is_secret
from appliance.core.setup import first_peer
from appliance.core.setup.render import NONE, render
from appliance.core.setup.seen import Answers, Seen

TEXT, CHOICE, CABLE, KEY, PASSWORD = "text", "choice", "cable", "key", "password"
PPP_PASSWORD = "ppp_password"  # noqa: S105
ALONE, FIRST, SECOND = "alone", "first", "second"
LANS = ("192.168.10.1/24", "192.168.110.1/24", "10.110.10.1/24", "172.20.10.1/24")
TUNNELS = ("10.20.0.1/24", "10.120.0.1/24", "172.30.20.1/24", "192.168.220.1/24")

Choices = Callable[[Answers, Seen], dict[str, str]]
"""What is offered, and what each means."""


@dataclass(frozen=True, slots=True)
class Question:
    """`about` is the sentence that explains it; `default` "" where only a person knows."""

    key: str
    title: str
    about: str
    kind: str
    default: Callable[[Answers, Seen], str]
    asked: Callable[[Answers], bool] = lambda answers: True
    choices: Choices = lambda answers, seen: {}


def _single(answers: Answers) -> bool:
    return answers.get("pair") != SECOND


def _static(answers: Answers) -> bool:
    return _single(answers) and answers.get("how") == "static"


def _dials(answers: Answers) -> bool:
    return _single(answers) and answers.get("how") == "pppoe"


def _first(answers: Answers) -> bool:
    return answers.get("pair") == FIRST


def _tunneled(answers: Answers) -> bool:
    return _single(answers) and answers.get("tunnel") != NONE


def _callable(answers: Answers) -> bool:
    """Whether somebody comes first who can be told where the box is found."""
    known = answers.get("reached_at", NONE) != NONE
    return _tunneled(answers) and known and answers.get("next") in ("colleague", first_peer.SITE)


def _branch(answers: Answers) -> bool:
    return _callable(answers) and answers["next"] == first_peer.SITE and first_peer.named(answers)


def _cards(answers: Answers, seen: Seen) -> dict[str, str]:
    return {card.device: "cable in" if card.carrier else "no cable" for card in seen.cards}


def _other_cards(answers: Answers, seen: Seen) -> dict[str, str]:
    return {device: said for device, said in _cards(answers, seen).items() if device != answers.get("uplink")}


def _first_with_cable(cards: dict[str, str]) -> str:
    return next((device for device, said in cards.items() if said == "cable in"), next(iter(cards), ""))


def _hows(answers: Answers, seen: Seen) -> dict[str, str]:
    return {
        "dhcp": f"from the provider's router (DHCP){': it gave ' + seen.offered if seen.offered else ''}",
        "static": "fixed: the provider told you an address and a gateway",
        "pppoe": "by PPPoE: the provider told you a user name and a password",
    }


def _free(offers: tuple[str, ...], taken: list[str]) -> str:
    """The first address of these whose network overlaps none of the taken ones."""
    networks = [ip_interface(text).network for text in taken if _is_interface(text)]
    fits = (text for text in offers if not any(ip_interface(text).network.overlaps(each) for each in networks))
    return next(fits, offers[-1])


def _is_interface(text: str | None) -> bool:
    try:
        return isinstance(ip_interface(text or ""), IPv4Interface)
    except ValueError:
        return False


def _lan(answers: Answers, seen: Seen) -> str:
    return _free(LANS, [answers.get("address", ""), seen.offered])


def _tunnel_address(answers: Answers, seen: Seen) -> str:
    return _free(TUNNELS, [answers.get("address", ""), answers.get("lan_address", ""), seen.offered])


def _public(text: str) -> str:
    """The address in `text` where the internet leads to it, else `none`."""
    return str(ip_interface(text).ip) if _is_interface(text) and ip_interface(text).is_global else NONE


def _gateway(answers: Answers, seen: Seen) -> str:
    return _hosts(answers.get("address"), 1)[0] if _is_interface(answers.get("address")) else ""


def _hosts(text: str | None, count: int) -> list[str]:
    """The first host addresses of the network around `text` that are not `text` itself, without prefix length."""
    around = ip_interface(text or "")
    found = [str(host) for host in islice(around.network.hosts(), 4) if host != around.ip]
    return [*found, "", ""][:count]


def _own_lan(position: int) -> Callable[[Answers, Seen], str]:
    def default(answers: Answers, seen: Seen) -> str:
        text = answers.get("lan_address", "")
        if not _is_interface(text):
            return ""
        host = _hosts(text, 2)[position]
        return f"{host}/{ip_interface(text).network.prefixlen}" if host else ""

    return default


def _says(text: str) -> Callable[[Answers, Seen], str]:
    return lambda answers, seen: text


def _roles(answers: Answers, seen: Seen) -> dict[str, str]:
    return {
        ALONE: "this box alone; a second one can come later",
        FIRST: "of two that stand in for each other",
        SECOND: "of two: the first one runs already, and shows a code",
    }


QUESTIONS = (
    Question("pair", "One box or two?", "Two boxes keep the office online when one of them dies.", CHOICE,
             _says(ALONE), choices=_roles),
    Question("code", "The code of the first box", "On the first box: sudo appliance pair invite. Type the code that it "
             "shows, such as 417-2930-5586. All else comes from there.", TEXT, _says(""),
             lambda answers: answers.get("pair") == SECOND),
    Question("site", "The name of the office", "Short: a-z, 0-9 and -. It stands in logs and file names.", TEXT,
             _says("office"), _single),
    Question("box", "The name of this box", "a-z, 0-9 and -. A second box gets another one.", TEXT,
             lambda answers, seen: seen.named or "alpha", _single),
    Question("uplink", "Which cable goes to the internet?", "Pull that cable out of the box and put it in again: the "
             "box sees which one it is. Or choose it here.", CABLE,
             lambda answers, seen: _first_with_cable(_cards(answers, seen)), _single, _cards),
    Question("how", "How does the box get its internet address?", "Most providers' routers hand it out by "
             "themselves.", CHOICE, lambda answers, seen: next(iter(_hows(answers, seen))), _single, _hows),
    Question("address", "The address towards the internet", "With its prefix length, as the provider wrote it: "
             "203.0.113.2/24.", TEXT, _says(""), _static),
    Question("gateway", "The provider's router", "The gateway, in the same network.", TEXT, _gateway, _static),
    Question("dns", "Name servers", "One address or several with spaces between; `none`: the public ones of Quad9.",
             TEXT, _says(NONE), _static),
    Question("ppp_user", "The user name at the provider", "As his letter says it, often with an @.", TEXT, _says(""),
             _dials),
    Question(PPP_PASSWORD, "The password at the provider", "The box keeps it; it stands in no file that you hand on.",
             PASSWORD, _says(""), _dials),
    Question("lan", "Which cable goes to the office?", "The switch to which the office's computers are connected.",
             CABLE, lambda answers, seen: _first_with_cable(_other_cards(answers, seen)), _single, _other_cards),
    Question("lan_address", "The box's address in the office", "The computers' gateway. The number behind the / says "
             "how large the network is; 24 holds 254 addresses.", TEXT, _lan, _single),
    Question("partner", "The name of the second box", "Another one than this box's.", TEXT,
             lambda answers, seen: "alpha" if answers["box"] == "bravo" else "bravo", _first),
    Question("lan_own", "This box's own address in the office", "The address before moves between the boxes; each has "
             "one of its own beside it.", TEXT, _own_lan(0), _first),
    Question("lan_partner", "The second box's own address in the office", "In the same network.", TEXT, _own_lan(1),
             _first),
    Question("tunnel", "The tunnel for colleagues and branches", "Its name, at most 12 letters (WireGuard); `none`: "
             "no tunnel for now.", TEXT, _says("vpn"), _single),
    Question("port", "The tunnel's UDP port", "51820 is WireGuard's usual one. A router in front must forward it to "
             "this box.", TEXT, _says("51820"), _tunneled),
    Question("tunnel_address", "The box's address in the tunnel", "A network of its own, used nowhere else; colleagues "
             "get addresses from it.", TEXT, _tunnel_address, _tunneled),
    Question("reached_at", "Where is the box found from outside?", "A name or address that leads here from the "
             "internet; `none`: not known yet.", TEXT,
             lambda answers, seen: answers["address"].split("/")[0] if answers.get("how") == "static"
             else _public(seen.offered), _tunneled),
    Question("admin", "Who looks after this box?", "A name for whoever may log in by ssh, from inside the office; "
             "`none`: nobody, ssh stays off.", TEXT, _says(NONE), _single),
    Question("admin_key", "The administrator's ssh key", "The one line of the .pub file. F2 reads it from a USB "
             "stick; or paste it.", KEY, _says(""), lambda answers: _single(answers) and answers.get("admin") != NONE),
    Question("signer", "Who may sign configurations?", "For changes from afar by signed bundles; a name, or `none`: "
             "nobody.", TEXT, _says(NONE), _single),
    Question("signer_key", "The key that signs", "The one line of the .pub file that `appliance bundle keygen` made. "
             "F2 reads it from a USB stick.", KEY, _says(""),
             lambda answers: _single(answers) and answers.get("signer") != NONE),
    Question("next", "Who connects first?", "When the box runs, it makes the keys and a QR code or file.",
             CHOICE, _says("colleague"), _tunneled,
             lambda answers, seen: {"colleague": "a person's phone or laptop", first_peer.SITE: "a branch office",
                                    "nobody": "nobody yet"}),
    Question("peer", "What is it called?", "A name for the colleague's device or the branch, such as anna-phone or "
             "basel; `none`: later, by `appliance peer add`.", TEXT, _says(NONE), _callable),
    Question("peer_networks", "The network behind the branch", "As 192.168.30.0/24; several with spaces between. None "
             "of them may be in use here.", TEXT, _says(""), _branch),
)  # fmt: skip
_BY_ANOTHER = {"gateway": "address", "peer": "reached_at", "peer_networks": "peer"}
"""Answers that cannot be judged without another one."""
BY_KEY = {question.key: question for question in QUESTIONS}


def path(answers: Answers) -> list[Question]:
    """The questions that these answers lead to."""
    return [question for question in QUESTIONS if question.asked(answers)]


def complete(answers: Answers, seen: Seen) -> Answers:
    """The answers of the path, the defaults where nothing was answered yet; answers off the path are left away."""
    found: Answers = {}
    for question in QUESTIONS:
        if question.asked(found):
            found[question.key] = answers.get(question.key) or question.default(found, seen)
            if question.key == "how" and found["how"] in ("dhcp", "pppoe"):
                found["address"] = found["how"]
    return found


def text_of(answers: Answers, seen: Seen) -> str:
    """appliance.yaml, as these answers and the defaults of the rest say."""
    return render(_filled(complete(answers, seen)))


def problem(key: str, text: str, answers: Answers, seen: Seen) -> str:
    """What is wrong with this answer, "" when it is right. `answers` are those to the questions before."""
    question = BY_KEY[key]
    offers = question.choices(answers, seen)
    if offers and text not in offers:
        return f"{text!r} is not offered here; choose {' or '.join(offers)}"
    if key == "code":
        return "" if read_code(text) else "this is no code; it looks like 417-2930-5586"
    if not text.strip():
        return "nothing stands here yet"
    if key == PPP_PASSWORD:
        return "" if is_secret(text) else f"no password is like this; it has {LONGEST}"
    if {**answers, key: text}.get("pair") == SECOND:
        return ""
    if key in ("partner", "lan") and text == answers.get({"partner": "box", "lan": "uplink"}[key]):
        return f"{text} is taken already; the two must differ"
    if key == "box" and seen.named not in ("", text):
        return f"this box serves an office as {seen.named}; for another name: `sudo appliance factory-reset` first"
    if key in ("lan_address", "peer_networks") and _is_interface(seen.offered):
        outside = ip_interface(seen.offered).network
        if any(ip_interface(each).network.overlaps(outside) for each in text.split() if _is_interface(each)):
            return f"{outside} is the network between this box and the provider's router; choose another one"
    if key == "reached_at" and text != NONE:
        return _place_problem(text, answers)
    if key == "peer" and text == NONE:
        return ""
    before = {each.key: answers[each.key] for each in QUESTIONS[: QUESTIONS.index(question)] if each.key in answers}
    whole = complete({**before, key: text}, seen)
    if key in ("peer", "peer_networks"):
        networks = text.split() if key == "peer_networks" else []
        return first_peer.problem(render(_filled(whole)), whole["tunnel"], whole["peer"], networks)
    try:
        check(render(_filled(whole)).encode())
    except ConfigurationError as error:
        return error.problems[0].message
    return ""


def _place_problem(text: str, answers: Answers) -> str:
    """Where the box is found has no place in its own file; it is checked as a peer would have it."""
    host = f"[{text}]" if ":" in text else text
    probe = (
        "version: 1\nsite: a\nboxes: {a: {interfaces: {wan: {device: a, address: dhcp}}}}\n"
        "tunnels: {a1: {addresses: 10.0.0.1/24, peers: {b: {address: 10.0.0.2, "
        f'public_key: "{first_peer.SOME_KEY}", endpoint: "{host}:1"}}}}}}}}\n'
    )
    try:
        check(probe.encode())
    except ConfigurationError as error:
        return error.problems[0].message
    return ""


def problems(answers: Answers, seen: Seen) -> list[str]:
    """What stands in the way of these answers, each as `key: what is wrong`; for a file of answers."""
    found = [f"{key}: no question has this key; known are {', '.join(BY_KEY)}" for key in answers if key not in BY_KEY]
    if found:
        return found
    whole = complete(answers, seen)
    good: Answers = {}
    for question in path(whole):
        if _BY_ANOTHER.get(question.key, question.key) not in {*good, question.key}:
            continue  # right or wrong by an answer that is wrong itself
        if wrong := problem(question.key, whole[question.key], good, seen):
            found.append(f"{question.key}: {wrong}")
            if question.kind == CHOICE:
                return found  # what is asked after it hangs on it
        else:
            good[question.key] = whole[question.key]
    return found


_PLACEHOLDERS = {
    "address": "192.0.2.2/24",
    "gateway": "192.0.2.1",
    "ppp_user": "user",
    "uplink": "eth0",
    "lan": "eth1",
    "lan_own": "192.168.10.2/24",
    "lan_partner": "192.168.10.3/24",
    "admin_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3fEbmzmeXY4yGRxz3lYHbJJbxGKJyGQXQqDRGNYtBh",
    "signer_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3fEbmzmeXY4yGRxz3lYHbJJbxGKJyGQXQqDRGNYtBh",
}


def _filled(answers: Answers) -> Answers:
    """What only a person knows is stood in for while he has not said it, so that the rest can be checked."""
    return {key: value or _PLACEHOLDERS.get(key, "") for key, value in answers.items()}
