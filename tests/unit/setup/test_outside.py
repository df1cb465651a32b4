"""What a box says of the place at which peers are to find it."""

from __future__ import annotations

import pytest

from appliance.core.setup.outside import leads_here

NAME = {"tunnel": "vpn", "port": "51820", "reached_at": "office.example.net"}
STORIES = {
    "no name is known yet": ({**NAME, "reached_at": "none"}, (), ("9.9.9.7",), ""),
    "no tunnel": ({"tunnel": "none"}, (), ("9.9.9.7",), ""),
    "here": (NAME, ("9.9.9.8", "9.9.9.7"), ("9.9.9.7",), "office.example.net:51820 leads to this box"),
    "an address": ({**NAME, "reached_at": "9.9.9.7"}, ("9.9.9.7",), ("9.9.9.7",), "9.9.9.7:51820 leads to this box"),
    "nobody knows it": (NAME, (), ("9.9.9.7",),
                        "office.example.net has no address yet: nobody outside finds this box by that name"),
    "elsewhere": (NAME, ("9.9.9.8",), ("9.9.9.7",),
                  "office.example.net is 9.9.9.8, but this box is 9.9.9.7: another box, or an old address?"),
    "behind a router": (NAME, ("9.9.9.8",), ("192.168.1.7",),
                        "office.example.net is 9.9.9.8, and this box is 192.168.1.7, behind a router: it must forward "
                        "UDP port 51820 to 192.168.1.7"),
    "offline": (NAME, ("9.9.9.8",), (), "office.example.net is 9.9.9.8; this box has no address outside yet"),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_place(story: tuple[dict[str, str], tuple[str, ...], tuple[str, ...], str]) -> None:
    answers, found, own, said = story
    assert leads_here(answers, found, own) == said
