"""Words of a pppd options file; without a parser, for the supervisor."""

from __future__ import annotations


def quoted(text: str) -> str:
    """A word of an options file (pppd(8), OPTIONS FILES): in quotes, a backslash before what would end them."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_ENDED = {
    8: "no PPPoE server answers on this cable",
    16: "the provider ended the session",
    19: "the provider refuses the user name or the password",
    10: "the provider answers and agrees to no session",
    15: "the provider fell silent in the middle of a session",
    1: "pppd cannot dial: see `journalctl -u 'appliance-pppoe@*'`",
    2: "pppd cannot read its options: see `journalctl -u 'appliance-pppoe@*'`",
    4: "this kernel has no PPP",
}
"""pppd's exit statuses (pppd(8), EXIT STATUS) of which a person can make something."""
REFUSED = 19
NO_ANSWER = 8


def trouble(ended: int | None) -> str:
    """What pppd's exit status says, "" where nothing is known."""
    if ended in (None, 0):
        return ""
    return _ENDED.get(ended or 0, "the session ended")


def trial_options(device: str, user: str, password: str, session: str) -> str:
    """For one attempt whose end is waited for, by a file that nobody but root reads: a `session` that is not used."""
    lines = [
        "plugin pppoe.so",
        f"nic-{device}",
        f"ifname {session}",
        f"user {quoted(user)}",
        f"password {quoted(password)}",
        "noauth",
        "hide-password",
        "nopersist",
        "maxfail 1",
        "pppoe-padi-timeout 1",
        "pppoe-padi-attempts 4",
        "noipdefault",
        "ipcp-accept-local",
        "ipcp-accept-remote",
        "nodefaultroute",
        "noipv6",
        "noccp",
        *(f"{each}-script /usr/bin/true" for each in ("ip-pre-up", "ip-up", "ip-down")),
    ]
    return "\n".join(lines) + "\n"
