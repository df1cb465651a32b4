"""What a gateway's cards and processor should be set to: what they can in, settings out, each with its reason.

Not of appliance.yaml: there is one right answer for a machine that passes packets on. A fact that is missing (a card
without rings, a processor without governors, a virtual device) asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

RING = 1024
"""Packets that wait in a card while the processor is busy elsewhere: 12 ms of full frames at 1 Gbit/s."""

WHY_RING = "a burst finds room while the processor is busy; most drivers begin with 256"
WHY_LRO = "what large receive offload glued together cannot be passed on (kernel: networking/segmentation-offloads)"
WHY_GRO_UDP = "packets of one tunnel or one QUIC call pass routing and firewall once for many"
WHY_RPS = "fewer receive queues than cores: the other cores share the work (kernel: networking/scaling, RPS)"
WHY_XPS = "each core has a send queue of its own and waits for no other (kernel: networking/scaling, XPS)"
WHY_GOVERNOR = "a core that first has to wake from a low clock delays the packet that woke it"

PERFORMANCE = "performance"


@dataclass(frozen=True, slots=True)
class Card:
    """A network card as ethtool and sysfs tell. `ring`: receive descriptors now and at most, None where it has no say.

    `features` has what can be switched, on or off; `rps` and `xps` the CPU masks of its queues, as numbers.
    """

    device: str
    ring: tuple[int, int] | None = None
    features: Mapping[str, bool] = field(default_factory=dict)
    rps: Mapping[str, int] = field(default_factory=dict)
    xps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Processor:
    """`cores` that are online; `governors`: by cpufreq policy, the present one and those that there are."""

    cores: int = 1
    governors: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that is set: of `subject` (a card, a cpufreq policy) `name`; in the words of ethtool(8) and sysfs."""

    subject: str
    name: str
    now: str
    wanted: str
    why: str

    @property
    def stands(self) -> bool:
        return self.now == self.wanted

    def __str__(self) -> str:
        return f"{self.subject}: {self.name} {self.wanted}"


def settings(cards: tuple[Card, ...], processor: Processor) -> tuple[Setting, ...]:
    """All that matters on this machine, whether it stands already or not."""
    found = [setting for card in cards for setting in _card(card, processor.cores)]
    for policy, (now, available) in sorted(processor.governors.items()):
        if PERFORMANCE in available:
            found.append(Setting(policy, "scaling_governor", now, PERFORMANCE, WHY_GOVERNOR))
    return tuple(found)


def _card(card: Card, cores: int) -> Iterator[Setting]:
    if card.ring:
        now, most = card.ring
        # A larger one that somebody's driver begins with is left: a change resets the link.
        yield Setting(card.device, "rx", str(now), str(max(now, min(RING, most))), WHY_RING)
    for feature, wanted, why in (
        ("large-receive-offload", False, WHY_LRO),
        ("rx-udp-gro-forwarding", True, WHY_GRO_UDP),
    ):
        if feature in card.features:
            yield Setting(card.device, feature, _word(card.features[feature]), _word(wanted), why)
    if cores > 1 and 0 < len(card.rps) < cores:
        for queue, mask in sorted(card.rps.items()):
            yield Setting(card.device, f"{queue}/rps_cpus", f"{mask:x}", f"{(1 << cores) - 1:x}", WHY_RPS)
    # Where every queue has a mask, the driver has decided.
    if cores > 1 and len(card.xps) > 1 and not all(card.xps.values()):
        queues = sorted(card.xps, key=lambda queue: int(queue.rpartition("-")[2]))
        for number, queue in enumerate(queues):
            mask = sum(1 << core for core in range(number, cores, len(queues)))
            if mask:
                yield Setting(card.device, f"{queue}/xps_cpus", f"{card.xps[queue]:x}", f"{mask:x}", WHY_XPS)


def _word(on: bool) -> str:
    return "on" if on else "off"
