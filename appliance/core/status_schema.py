"""The JSON Schema of `appliance status --json`: what a program may rely on.

The number in `schema` changes when something here goes away or changes its meaning. What is added does not change it,
so a reader passes over keys that it does not know.
"""

from __future__ import annotations

from typing import Any

from appliance.core.status_words import ROLES, SCHEMA

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def json_schema() -> Schema:
    """As plain values, ready to be written as JSON."""
    found = _object(
        "What a box says of itself at this moment: read from the system, not remembered.",
        schema={"const": SCHEMA, "description": "The number of this vocabulary."},
        version=_text("The release that runs."),
        site=_maybe(_text("The office's name; null before the first configuration.")),
        box=_maybe(_text("This box's name.")),
        configuration=_maybe(_text("SHA-256 of the file that runs, in hex.")),
        generation=_maybe(_count("The confirmed generation's number.")),
        role={"enum": list(ROLES), "description": "alone, or what it is in its pair."},
        forwarding=_flag("Whether it forwards."),
        firewall=_object(
            "Our table.",
            stands=_flag("Whether it is as it was loaded."),
            counters={
                "type": "object",
                "additionalProperties": _count("Packets."),
                "description": "Packets that were dropped, by counter.",
            },
        ),
        capabilities=_object(
            "What the kernel has.",
            kernel_wireguard=_flag("Its own WireGuard."),
            flow_offload=_flag("Flow tables."),
        ),
        pending=_list(_text("A step."), "Steps by which the system differs from the file: none, where all is well."),
        warnings=_list(_text("A sentence."), "What is wrong."),
        notices=_list(_text("A sentence."), "What will have to be done in time."),
        interfaces=_list(_interface(), "The networks that the box stands in."),
        uplinks=_list(_uplink(), "Those of them that lead to the internet."),
        tunnels=_list(_tunnel(), "WireGuard interfaces."),
        trial=_maybe(_trial()),
        last_rollback=_maybe(_rollback()),
        applied=_object(
            "Configurations that were brought to run since the supervisor's start.",
            times=_count("How many."),
            seconds=_seconds("How long all of them took."),
            last_seconds=_seconds("How long the last one took."),
        ),
        time_floor=_maybe(_moment("No handshake of this box is dated before this.")),
        bundles=_bundles(),
        update=_text("What became of the last update of the system, a sentence; empty where there was none."),
    )
    found["properties"]["pair"] = _pair()
    found["properties"]["hardware"] = _list(_setting(), "Cards and processor; read by the command itself.")
    return {"$schema": DIALECT, "title": "appliance status --json", **found}


def _setting() -> Schema:
    return _object(
        "One thing that is set.",
        of=_text("A card, or a cpufreq policy."),
        what=_text("In the words of ethtool(8) and sysfs."),
        now=_text("As it is."),
        wanted=_text("As it should be."),
        why=_text("Why."),
    )


def _interface() -> Schema:
    found = _object("A network.", **_link())
    found["properties"]["lease"] = _object(
        "In a pair, where the address is lent: the device above the card.",
        device=_text("Its name."),
        mac=_maybe(_text("Its hardware address, the same on both boxes.")),
        here=_flag("Whether this box uses the lease."),
    )
    found["properties"]["session"] = _session()
    return found


def _uplink() -> Schema:
    found = _object("An uplink.", **_link(), gateways=_list(_maybe(_text("An address.")), "The nearest first."))
    found["properties"]["card"] = _text("Only where it dials: the device that the session runs over.")
    found["properties"]["session"] = _session()
    return found


def _session() -> Schema:
    return _object(
        "Only where it dials: its PPPoE session.",
        device=_text("As the kernel has it."),
        up=_flag("Whether it has an address."),
        dials=_flag("Whether pppd runs."),
        elsewhere=_flag("Whether the session is the other box's now."),
        mtu=_maybe(_count("Bytes.")),
        trouble=_text("Why it is not up, or empty."),
        ended=_maybe(_count("pppd's exit status.")),
    )


def _link() -> dict[str, Schema]:
    return {
        "name": _text("As the file has it."),
        "device": _text("As the kernel has it."),
        "present": _flag("Whether there is such a device."),
        "carrier": _flag("Whether the cable is in."),
        "mtu": _maybe(_count("Bytes.")),
        "addresses": _list(_text("ADDRESS/LENGTH."), "All that it has."),
    }


def _tunnel() -> Schema:
    return _object(
        "A WireGuard interface.",
        name=_text("As the file has it; NAME/old with the box's key before, while that is being replaced."),
        device=_text("As the kernel has it."),
        key=_count("The number of the box's key."),
        replaced_by=_maybe(_text("The tunnel whose key takes over from this one; null: none does.")),
        expires=_maybe(_text("The last day of such a key, YYYY-MM-DD.")),
        present=_flag("Whether an engine runs it."),
        engine=_maybe({"enum": ["kernel", "userspace"], "description": "What runs it."}),
        engine_wanted={"enum": ["auto", "kernel", "userspace"], "description": "What the file says."},
        public_key=_maybe(_text("The box's own.")),
        listen_port=_maybe(_count("UDP.")),
        mtu=_maybe(_count("Bytes.")),
        addresses=_list(_text("ADDRESS/LENGTH."), "The box's own."),
        peers=_list(_peer(), "In the order of the file; where the box has two keys, those that use this one."),
    )


def _peer() -> Schema:
    return _object(
        "A peer.",
        name=_text("TUNNEL.PEER; TUNNEL.PEER/old for keys that are being replaced."),
        public_key=_text("Its key."),
        state={
            "enum": ["up", "idle", "never seen", "absent", "expired"],
            "description": "up: data went both ways in the last 180 s; handshakes and keepalives are none. idle: there "
            "was a handshake once, be it before the box's start. absent: the engine does not have it. expired: its "
            "last day is over.",
        },
        endpoint=_maybe(_text("Where it was heard last, ADDRESS:PORT.")),
        endpoint_wanted=_maybe(_text("What the file says, HOST:PORT.")),
        handshake_age_seconds=_maybe(_seconds("Since the last handshake; null: none since the engine has it.")),
        last_seen_seconds=_maybe(
            _seconds("Since the last handshake with this box, also before its start; null: never.")
        ),
        received_bytes=_count("Since the engine has it."),
        sent_bytes=_count("Since the engine has it."),
        allowed_ips=_list(_text("NETWORK/LENGTH."), "What it may send from, and is sent."),
        keepalive_seconds=_count("0: none."),
        preshared_key=_flag("Whether there is one."),
        keys_since=_maybe(_text("The day on which its keys were made, YYYY-MM-DD.")),
        expires=_maybe(_text("The last day on which it gets in, YYYY-MM-DD.")),
    )


def _trial() -> Schema:
    return _object(
        "The configuration that is on trial; null: none is.",
        generation=_count("Its number."),
        origin=_text("Who began it."),
        seconds_left=_seconds("Until it goes back."),
        works=_list(_text("A sentence."), "What worked before, and must again."),
        not_seen_yet=_list(_text("A sentence."), "What of that was not seen yet."),
        both_boxes=_flag("Whether the other box tries it, too."),
    )


def _rollback() -> Schema:
    return _object(
        "The last trial, where it did not end in a confirmation.",
        number=_count("Its generation."),
        digest=_text("SHA-256 of the file, in hex."),
        origin=_text("Who began it."),
        applied=_moment("When it began to run."),
        ended=_moment("When it went back."),
        outcome=_text("What became of it."),
        why=_text("Why."),
    )


def _bundles() -> Schema:
    said = _object("What was found there.", good=_flag("Reached."), text=_text("A sentence."), at=_moment("When."))
    fetch = _object("Where bundles are fetched from.", url=_text("https."), last=_maybe(said))
    return _object(
        "Signed configurations.",
        age_recipient=_text("To whom secrets for this box are sealed (age), or empty."),
        last=_maybe({"type": "object", "additionalProperties": {"type": "string"}, "description": "The last receipt."}),
        fetch=_maybe(fetch),
    )


def _pair() -> Schema:
    partner = _object(
        "The other box, as it said when it was last heard.",
        box=_text("Its name."),
        alive=_flag("Whether it is heard."),
        heard_ago=_seconds("Since it was heard."),
        role=_text("What it is."),
        epoch=_count("Its count of takeovers."),
        ready=_flag("Whether it would take over."),
        in_step=_flag("Whether both have the same confirmed configuration."),
        ahead=_text("The box with the higher generation, or empty."),
    )
    phase = _maybe(_seconds("After keepalived's MASTER; null: not yet."))
    takeover = _object(
        "The last time that this box became master.",
        told=_moment("keepalived's MASTER."),
        committed=phase,
        unmuted=phase,
        first_handshake=phase,
        last_active_back=phase,
        called=_count("Peers that were called."),
        answered=_count("Of these, those that answered."),
        given_up=_count("Of these, those that are called no more."),
        done=_flag("Whether nobody is being called any more."),
    )
    return _object(
        "Only where two boxes are a pair.",
        box=_text("This box's name."),
        role={"enum": list(ROLES[2:]), "description": "Only a master sends WireGuard packets."},
        vrrp=_text("What keepalived says."),
        since=_moment("Since when."),
        why=_text("Why."),
        epoch=_count("The pair's count of takeovers."),
        muted=_flag("Whether its tunnels say nothing."),
        ready=_flag("Whether it would take over."),
        not_ready=_list(_text("A sentence."), "Why it would not."),
        partner=_maybe(partner),
        dead_uplinks=_list(_text("A name."), "Those whose gateway does not answer."),
        living_uplinks=_list(_text("A name."), "Those whose gateway answers; of the others nothing is known."),
        takeovers=_count("How often this box became master since its supervisor's start."),
        takeover=_maybe(takeover),
        notes=_list(_text("A sentence."), "What is wrong between the two."),
    )


def _object(description: str, **properties: Schema) -> Schema:
    """All of these keys are always there."""
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": properties,
    }


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _seconds(description: str) -> Schema:
    return {"type": "number", "description": description}


def _moment(description: str) -> Schema:
    return _seconds(f"{description} Seconds since 1970.")
