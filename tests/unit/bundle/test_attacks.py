"""Everything that is tried with bundles. Each is refused, by the refusal that names it, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from bundle_site import DAY, NOW, TRUST, JudgingBox, bundle, configuration, payload, signature, signed

from appliance.core.bundle import envelope as envelopes
from appliance.core.bundle import payload as payloads
from appliance.core.bundle import refusals as r
from appliance.core.bundle.rules import Clock
from appliance.core.bundle.trusted import Trusted

SEEN = Trusted("zurich", TRUST, serial=6, digest="6" * 64, seen=NOW - 2 * DAY)
"""A box that has seen the bundle before."""

ATTACKS: dict[str, tuple[type[r.Refusal], Callable[[], bytes]]] = {}


def attack(refusal: type[r.Refusal]) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def listed(make: Callable[[], bytes]) -> Callable[[], bytes]:
        ATTACKS[make.__name__] = (refusal, make)
        return make

    return listed


def payload_with(text: str, instead: str) -> bytes:
    """Signed by the right people, who were careless about what they signed."""
    whole = payloads.written(payload())
    assert text in whole
    return envelopes.written(signed(whole.replace(text, instead, 1)))


# -- the serial and the clock -----------------------------------------------------------------------------------------


@attack(r.OldSerial)
def old_serial() -> bytes:
    return bundle(serial=5)


@attack(r.SerialUsedTwice)
def another_bundle_with_a_serial_that_was_used() -> bytes:
    return bundle(serial=6)


@attack(r.Expired)
def expired() -> bytes:
    return bundle(expires=NOW - 1)


@attack(r.NotYetValid)
def not_yet_valid() -> bytes:
    return bundle(issued=NOW + 3600, expires=NOW + DAY)


# -- the signatures ---------------------------------------------------------------------------------------------------


@attack(r.TooFewSignatures)
def not_signed_at_all() -> bytes:
    return envelopes.written(replace(signed(payload()), signatures=()))


@attack(r.TooFewSignatures)
def one_signature_too_few() -> bytes:
    return bundle("anna")


@attack(r.SameKeyTwice)
def the_same_key_twice() -> bytes:
    return bundle("anna", "anna")


@attack(r.TooFewSignatures)
def an_unknown_key_beside_a_known_one() -> bytes:
    return bundle("anna", "mallory")


@attack(r.WrongSignature)
def signatures_of_another_payload() -> bytes:
    other = signed(payload(serial=8))
    return envelopes.written(replace(signed(payload()), signatures=other.signatures))


@attack(r.WrongSignature)
def one_signature_of_another_payload() -> bytes:
    this, other = signed(payload()), signed(payload(serial=8))
    return envelopes.written(replace(this, signatures=(this.signatures[0], other.signatures[1])))


@attack(r.WrongSignature)
def a_signature_under_another_name() -> bytes:
    this = signed(payload())
    forged = replace(signature("mallory", this), key=this.signatures[1].key)
    return envelopes.written(replace(this, signatures=(this.signatures[0], forged)))


@attack(r.WrongSignature)
def one_letter_of_the_payload_changed() -> bytes:
    return bundle().replace(b"192.168.10.1/24", b"192.168.11.1/24")


@attack(r.WrongSignature)
def a_receipts_signature_on_a_configuration() -> bytes:
    """The type is signed too."""
    as_receipt = signed(payload(), kind=envelopes.RECEIPT)
    return envelopes.written(replace(as_receipt, type=envelopes.CONFIGURATION))


@attack(r.TooFewSignatures)
def new_keys_signed_by_the_new_ones() -> bytes:
    """Replacing the trusted keys takes the old threshold."""
    return bundle("mallory", configuration=configuration(1, ("mallory",)))


@attack(r.TooFewSignatures)
def new_keys_signed_by_too_few_of_the_old_ones() -> bytes:
    return bundle("carla", "mallory", configuration=configuration(1, ("mallory",)))


@attack(r.TrustRemoved)
def a_configuration_that_trusts_nobody() -> bytes:
    whole = configuration()
    return bundle(configuration=whole[: whole.index("trust:")])


@attack(r.BadConfiguration)
def a_threshold_that_nobody_can_meet() -> bytes:
    return bundle(configuration=configuration(3, ("anna", "ben")))


# -- for whom ---------------------------------------------------------------------------------------------------------


@attack(r.OtherSite)
def another_site() -> bytes:
    return bundle(site="geneva")


@attack(r.BadConfiguration)
def this_site_outside_and_another_inside() -> bytes:
    return bundle(configuration=configuration().replace("site: zurich", "site: geneva"))


@attack(r.OtherBox)
def another_box() -> bytes:
    return bundle(boxes=["bravo"])


@attack(r.OtherPayloadType)
def another_payload_type() -> bytes:
    return envelopes.written(signed(payload(), kind=envelopes.RECEIPT))


# -- the envelope's bytes ---------------------------------------------------------------------------------------------


@attack(r.NotABundle)
def trailing_bytes() -> bytes:
    return bundle() + b"and: more\n"


@attack(r.NotABundle)
def a_second_document() -> bytes:
    return bundle() + b"---\n" + bundle()


@attack(r.NotABundle)
def cut_off() -> bytes:
    return bundle()[:-10]


@attack(r.NotABundle)
def a_blank_line_at_the_end() -> bytes:
    return bundle() + b"\n"


@attack(r.NotABundle)
def a_key_written_twice() -> bytes:
    return bundle().replace(b"payload: |\n", b"payload: |\n  version: 1\npayload: |\n")


@attack(r.NotABundle)
def the_head_written_twice() -> bytes:
    return bundle().replace(b"type: ", b"type: a/b\ntype: ", 1)


@attack(r.NotABundle)
def an_alias_and_an_anchor() -> bytes:
    return bundle().replace(b"payload: |", b"payload: &a |", 1)


@attack(r.NotABundle)
def a_bomb_of_aliases() -> bytes:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    return "\n".join(lines).encode() + b"\n"


@attack(r.NotABundle)
def a_page_of_a_captive_portal() -> bytes:
    return b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>Log in</body></html>\n"


@attack(r.NotABundle)
def nothing_at_all() -> bytes:
    return b""


@attack(r.NotABundle)
def a_thousand_signatures() -> bytes:
    this = signed(payload())
    entry = envelopes.written(this).split(b"signatures:\n")[1].split(b"payload:")[0]
    return envelopes.written(this).replace(entry, entry * 1000)


@attack(r.NotText)
def windows_line_ends() -> bytes:
    return bundle().replace(b"\n", b"\r\n")


@attack(r.NotText)
def no_utf8() -> bytes:
    return bundle().replace(b"site: zurich", b"site: z\xfcrich")


@attack(r.NotText)
def a_byte_order_mark() -> bytes:
    return b"\xef\xbb\xbf" + bundle()


@attack(r.NotText)
def a_zero_byte() -> bytes:
    return bundle().replace(b"zurich", b"zur\0ch", 1)


@attack(r.TooLarge)
def a_heap_of_zeros() -> bytes:
    """A gigabyte in earnest is the carriers' to refuse; here, more than a bundle may have."""
    return bytes(envelopes.MAXIMUM_BYTES + 1)


# -- payloads that careless people signed -----------------------------------------------------------------------------


@attack(r.UnreadablePayload)
def an_alias_in_the_payload() -> bytes:
    return payload_with("boxes: [alpha]", "boxes: &b [alpha]")


@attack(r.UnreadablePayload)
def a_key_twice_in_the_payload() -> bytes:
    return payload_with("serial: 7", "serial: 7\nserial: 8")


@attack(r.UnreadablePayload)
def two_documents_in_the_payload() -> bytes:
    return payload_with("configuration: |", "---\nconfiguration: |")


@attack(r.UnreadablePayload)
def an_unknown_key_in_the_payload() -> bytes:
    return payload_with("serial: 7", "serial: 7\ncommand: reboot")


@attack(r.UnreadablePayload)
def a_serial_that_is_no_number() -> bytes:
    return payload_with("serial: 7", "serial: 1e9")


@attack(r.UnreadablePayload)
def a_time_that_is_none() -> bytes:
    return payload_with("expires: 2", "expires: 9999-99-99T00:00:00Z #")


@attack(r.BadConfiguration)
def a_configuration_that_check_refuses() -> bytes:
    return bundle(configuration=configuration().replace("192.168.10.1/24", "192.168.10.0/24"))


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str) -> None:
    refusal, make = ATTACKS[name]
    box = JudgingBox(SEEN)
    content = make()
    with pytest.raises(r.Refusal) as caught:
        box.takes(content)
    assert type(caught.value) is refusal, f"{type(caught.value).__name__}: {caught.value}"
    assert box.known is SEEN
    assert str(caught.value) and "\n" not in str(caught.value)
    print(f"{name.replace('_', ' ')}: {refusal.__name__}: {caught.value}")


def test_the_good_one_is_believed() -> None:
    """The one that all the others were made from."""
    found = JudgingBox(SEEN).takes(bundle())
    assert found.signers == ("anna", "ben")
    assert (found.trusted.serial, found.trusted.trust) == (7, TRUST)


def test_replayed() -> None:
    """After a newer one the older one never comes back, however valid."""
    box = JudgingBox(SEEN)
    older = bundle()
    box.takes(older)
    box.takes(bundle(serial=8))
    with pytest.raises(r.OldSerial):
        box.takes(older)


@pytest.mark.parametrize(
    "clock", [Clock(NOW - 30 * DAY, floor=NOW), Clock(NOW - 30 * DAY, floor=NOW, trusted=False)], ids=["ntp", "battery"]
)
def test_time_set_back(clock: Clock) -> None:
    """A clock that was set back does not make an expired bundle good: the box knows how late it is at least."""
    with pytest.raises(r.Expired):
        JudgingBox(SEEN, clock).takes(bundle(issued=NOW - 31 * DAY, expires=NOW - DAY))
    box = JudgingBox(SEEN, Clock(NOW))
    box.takes(bundle(serial=8, issued=NOW))
    box.clock = Clock(NOW - 30 * DAY)
    with pytest.raises(r.Expired):
        box.takes(bundle(serial=9, issued=NOW - 31 * DAY, expires=NOW - DAY))


def test_keys_are_replaced_by_the_old_threshold_and_stay_replaced() -> None:
    box = JudgingBox(SEEN)
    box.takes(bundle("ben", "carla", configuration=configuration(2, ("ben", "carla"))))
    with pytest.raises(r.TooFewSignatures, match="not known here"):
        box.takes(bundle("anna", "ben", serial=8))
    assert box.takes(bundle("carla", "ben", serial=8)).signers == ("carla", "ben")


def test_a_box_that_trusts_nobody() -> None:
    with pytest.raises(r.NobodyTrusted):
        JudgingBox(Trusted("zurich", replace(TRUST, keys={}))).takes(bundle())


def test_every_refusal_is_met() -> None:
    """But for those that the supervisor raises, with the box's secrets and generations at hand (tests/labs)."""
    on_the_box = {
        r.NobodyTrusted,
        r.AlreadyApplied,
        r.TriedBefore,
        r.SecretsUnreadable,
        r.SecretChanged,
        r.SecretMissing,
    }
    met = {refusal for refusal, _ in ATTACKS.values()}
    assert met | on_the_box == set(r.Refusal.__subclasses__())
