"""Every number of the takeover in one place; tests and labs may pass others."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.core.state import KERNEL, USERSPACE


def _windows() -> dict[str, int]:
    # Above these the answers put the receiving engine into cookie mode, and they come 5 s later. Measured.
    return {USERSPACE: 64, KERNEL: 256}


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds, unless it says otherwise."""

    # Between the boxes.
    hello: float = 0.2
    hurry: float = 0.05
    """Instead of `hello`, while the partner still lacks endpoints."""
    chunk: int = 100
    """Endpoints in one hello: about 11 kB of JSON."""
    gone: float = 1.0
    """A partner that was silent for so long is not there: five hellos."""
    redial: float = 0.5
    redial_most: float = 5.0
    """A partner that is not heard is called again after `redial`, doubling up to this."""
    redial_kept: float = 15.0
    """One that was heard, after so long: KEEPALIVE_TIMEOUT + REKEY_TIMEOUT of WireGuard (whitepaper, section 6.1)."""
    boot: float = 1.5
    """How long a box that starts waits for what its partner knows."""
    answer: float = 0.3
    """How long a master that suspects another one waits for the partner's answer."""
    skew: float = 0.15
    """How exactly one box knows when something happened at the other."""
    stall: float = 0.25
    """A standing still that is shorter lets nobody take over."""
    overlap: float = 0.5
    """Two masters for longer than this, and some peers have their session with the other one."""

    # keepalived.
    orphan: float = 2.0
    """How long a master goes on without keepalived."""
    last_breath: float = 0.01
    """So long after its parent's end keepalived's child, killed with it, is gone as well. Woken at once, for it has
    real-time priority, it may take the virtual addresses away before it dies."""
    restart: float = 0.2
    restart_most: float = 10.0
    """keepalived is started again after `restart`, doubling up to this while it dies within `restart_calm`."""
    restart_calm: float = 60.0
    fresh: float = 2.5
    """No sooner a preferred box takes the role from one that has just become master: that one reads now and then who
    called it, and at a boot everybody does. A session that it did not tell of nobody would take up again."""
    return_calm: float = 5.0
    """A preferred box that lost the role, to a link or with its keepalived, asks for it no sooner: two takeovers within
    half a second, the second amid the first one's handshakes, are worse than one. 1,000 peers are back after 1.6 s."""
    park: float = 1.0
    """keepalived says MASTER, the partner is it by a higher epoch: after this keepalived is stopped."""
    probe: float = 60.0
    probe_most: float = 600.0
    """After so long it is started again, to see whether the boxes hear each other's adverts; doubling."""
    probe_calm: float = 5.0
    handover: float = 5.0
    link_doubt: float = 0.03
    """A switch that dies takes both boxes' links, but not at the same instant."""
    listen: float = 1.2
    """A box whose links come up hears no advert at first: the other one asks once a second for its MAC address
    (neigh/default/retrans_time_ms), and sends when it knows that."""
    step_down: float = 0.3
    """So long keepalived may take to go to FAULT."""
    vain: float = 2.0
    """So soon after an election the other box says that it is elected, too: its adverts came late."""
    vains: int = 3
    """After so many within `flap_within`, status says so."""
    stranger: float = 60.0
    """A stranger's advert is news for so long."""

    masterless: float = 5.0
    """An election takes a fraction of a second. Two boxes that have waited for so long wait for somebody else."""

    # Connections.
    hold: float = 0.5
    """Forwarding waits for the commit of the connection table no longer than this."""
    connections: float = 10.0
    """How long a standby waits for the connection table before it counts as ready without."""

    # Calling the peers.
    first: int = 50
    """Peers whose handshakes start with the unmuting itself."""
    call_keepalive: int = 25
    patience: float = 0.4
    """A peer is called again when it did not answer within this, or within two round trips; doubling."""
    patience_most: float = 1.0
    tries: int = 4
    lately: float = 180.0
    """A peer without data or handshake for this long has no session (REJECT_AFTER_TIME), and is not called."""
    windows: dict[str, int] = field(default_factory=_windows)
    """By engine: handshakes of one tunnel that may be under way."""

    # Reading the engines.
    read: float = 0.2
    read_calling: float = 0.03
    read_per_peer: float = 0.001
    """No more often than this many seconds for each peer: reading costs."""
    read_hurry: float = 40.0
    """So many times more often while peers are called. Answers free the slots for the next calls, and 1,000 peers that
    were read every 0.1 s were all back after 1.56 s (tests/bench/takeover.py)."""
    restamp: float = 5.0
    """A peer's activity is told to the partner in steps of this."""

    # Uplinks.
    uplink: float = 1.0
    """Gateways are asked so often; one question each."""
    uplink_misses: int = 3
    """An uplink is dead when its gateway left so many in a row unanswered."""
    uplink_misses_new: int = 12
    """The same for the gateway of a lease that never answered here, and did at the other box."""
    uplink_misses_session: int = 30
    """The same for a PPPoE session that had been up, here or at the other box: it is dialled again meanwhile, since
    providers end sessions every day, and forget one whose box is dead after some 20 s."""
    uplink_misses_trust: int = 180
    uplink_turns: int = 5
    """The same for a session that the other box gave away, so that nobody knows whether it can be had here; doubled at
    each turn, so often at most: 96 minutes."""
    uplink_lasts: float = 600.0
    """A session that has been up for so long is no longer one that was given away."""
    uplink_unserved: float = 300.0
    """What was given away and the new master did not get within this, the other box may try again."""
    uplink_calm: float = 5.0
    """A dead one counts again after answering for so long."""
    uplink_doubt: float = 0.5
    """The other's gateway must have answered so much later than this one fell silent: hellos take their time."""
    uplink_tried: float = 3600.0
    """Who gave the role away for the gateway of a lease, which it cannot ask any more, tries again after so long."""

    # Flapping.
    flaps: int = 3
    flap_within: float = 600.0
    flap_rest: float = 600.0

    # The time floor.
    clock: float = 5.0
    """A clock that was set is not set again so soon, but by a takeover: each time costs a slow box a second."""
    floor_ahead: float = 720.0
    floor_lead: float = 120.0
    """The floor on disk is `floor_ahead` ahead when it is written, and written again when less than `floor_lead`."""
