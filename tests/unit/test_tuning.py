"""What a gateway's cards and processor are set to."""

from __future__ import annotations

from appliance.core.tuning import Card, Processor, settings

FEATURES = {"large-receive-offload": True, "rx-udp-gro-forwarding": False, "rx-gro": True}
MANY = ("performance", "powersave", "schedutil")


def changes(card: Card | None = None, processor: Processor | None = None) -> list[str]:
    found = settings((card,) if card else (), processor or Processor(4))
    assert all(setting.why for setting in found)
    return [str(setting) for setting in found if not setting.stands]


def test_a_card_with_one_queue_is_helped_by_all_cores() -> None:
    card = Card("enp1s0", (256, 4096), FEATURES, {"rx-0": 0}, {"tx-0": 0})
    assert changes(card) == [
        "enp1s0: rx 1024",
        "enp1s0: large-receive-offload off",
        "enp1s0: rx-udp-gro-forwarding on",
        "enp1s0: rx-0/rps_cpus f",
    ]


def test_a_card_with_a_queue_for_each_core_needs_no_help() -> None:
    queues = {f"rx-{n}": 0 for n in range(4)}
    decided = {f"tx-{n}": 1 << n for n in range(4)}
    card = Card("enp1s0", (2048, 4096), {"rx-udp-gro-forwarding": True}, queues, decided)
    assert changes(card) == []


def test_send_queues_are_dealt_out_where_the_driver_has_not() -> None:
    card = Card("enp1s0", None, {}, {"rx-0": 0xF, "rx-1": 0xF}, {"tx-0": 0, "tx-1": 0})
    assert changes(card) == ["enp1s0: tx-0/xps_cpus 5", "enp1s0: tx-1/xps_cpus a"]


def test_what_a_card_cannot_do_is_not_asked_of_it() -> None:
    assert changes(Card("enp1s0")) == []
    assert changes(Card("enp1s0", (256, 256))) == []
    assert changes(Card("enp1s0", (256, 512))) == ["enp1s0: rx 512"]
    assert changes(Card("enp1s0", rps={"rx-0": 0}, xps={"tx-0": 0}), Processor(1)) == []


def test_the_clock_stays_up_where_that_can_be_said() -> None:
    governors = {
        "policy0": ("schedutil", MANY),
        "policy1": ("performance", MANY),
        "policy2": ("userspace", ("userspace",)),
    }
    assert changes(processor=Processor(2, governors)) == ["policy0: scaling_governor performance"]
