"""The file itself: YAML for everybody, DSSE for other tools, and bytes from anywhere that break nothing."""

from __future__ import annotations

import os

import pytest
import yaml
from bundle_site import KEYS, LINES, NOW, TRUST, bundle, payload, signed
from hypothesis import example, given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as DsseEnvelope
from securesystemslib.signer import CryptoSigner, SSlibKey
from securesystemslib.signer import Signature as DsseSignature

from appliance.adapters.signatures import verify
from appliance.core.bundle import envelope as envelopes
from appliance.core.bundle import payload as payloads
from appliance.core.bundle import receipt as receipts
from appliance.core.bundle.refusals import Refusal
from appliance.core.bundle.rules import signers
from appliance.core.bundle.trusted import Damaged, Trusted, by_hand, newer, packed, unpacked
from appliance.core.state import Trust
from appliance.core.values import ed25519_bytes, fingerprint

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "300"))
GOOD = bundle()


def test_a_bundle_is_yaml_and_says_the_same_to_a_yaml_parser() -> None:
    envelope = envelopes.read(GOOD)
    read = yaml.safe_load(GOOD)
    assert read["payload"] == envelope.payload
    assert read["type"] == envelope.type
    assert [each["key"] for each in read["signatures"]] == [each.key for each in envelope.signatures]
    assert yaml.safe_load(read["payload"])["configuration"] == payloads.read(envelope.payload).configuration


def test_the_payload_reads_back() -> None:
    wanted = payload(sealed={"alpha": "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"})
    assert payloads.read(payloads.written(wanted)) == wanted


def test_somebody_elses_dsse_verifies_ours() -> None:
    envelope = signed(payload())
    signatures = {each.key: DsseSignature(each.key, each.value.hex()) for each in envelope.signatures}
    theirs = DsseEnvelope(envelope.payload.encode(), envelope.type, signatures)
    keys = [
        SSlibKey(fingerprint(LINES[n]), "ed25519", "ed25519", {"public": ed25519_bytes(LINES[n]).hex()})
        for n in ("anna", "ben")
    ]
    assert set(theirs.verify(keys, 2)) == set(signatures)


def test_we_verify_what_somebody_elses_dsse_signs() -> None:
    text = payloads.written(payload())
    theirs = DsseEnvelope(text.encode(), envelopes.CONFIGURATION, {})
    ours = envelopes.Envelope(envelopes.CONFIGURATION, text)
    for name in ("anna", "ben"):
        signer = CryptoSigner(KEYS[name]._private)
        value = bytes.fromhex(theirs.sign(signer).signature)
        ours = ours.with_signature(envelopes.Signature(fingerprint(LINES[name]), value))
    assert signers(envelopes.read(envelopes.written(ours)), TRUST, verify) == ("anna", "ben")


def test_signing_again_replaces() -> None:
    envelope = signed(payload())
    assert envelope.with_signature(envelope.signatures[0]).signatures == envelope.signatures[::-1]


@given(st.binary(max_size=400))
@example(GOOD)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_a_bundle_or_refused(content: bytes) -> None:
    try:
        envelope = envelopes.read(content)
    except Refusal:
        return
    assert envelopes.written(envelope) == content


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=3), st.integers(0, 40))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_bundle_that_was_touched_is_refused_or_its_signatures_fail(at: int, put: bytes, cut: int) -> None:
    """Nothing that is read differs from what was signed."""
    content = GOOD[:at] + put + GOOD[at + cut :]
    if content == GOOD:
        return
    try:
        envelope = envelopes.read(content)
        names = signers(envelope, TRUST, verify)
    except Refusal:
        return
    assert envelope.signed_bytes == envelopes.read(GOOD).signed_bytes
    assert len(names) >= TRUST.threshold


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=300))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_as_payload_reads_back_or_is_not_written(text: str) -> None:
    envelope = envelopes.Envelope(envelopes.CONFIGURATION, text)
    try:
        content = envelopes.written(envelope)
    except ValueError:
        return
    assert envelopes.read(content) == envelope
    assert yaml.safe_load(content)["payload"] == text


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_payload_is_understood_or_refused(text: str) -> None:
    try:
        payloads.read(text)
    except Refusal as refusal:
        assert "\n" not in str(refusal)


@given(st.text(max_size=80), st.text(max_size=80))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_receipt_carries_any_reason(site: str, why: str) -> None:
    text = receipts.written(receipts.Receipt(site, "alpha", "ab" * 32, 7, receipts.REFUSED, NOW, 3, "Expired", why))
    content = envelopes.written(envelopes.Envelope(envelopes.RECEIPT, text))
    assert envelopes.read(content, envelopes.RECEIPT).payload == text
    found = receipts.fields(text)
    assert found["serial"] == "7"
    assert (found.get("why", "") == why) or not why.isascii() or not why.isprintable()
    assert yaml.safe_load(text)["outcome"] == "refused"


# -- what a box keeps -------------------------------------------------------------------------------------------------

KNOWN = Trusted("zurich", TRUST, 7, "7" * 64, NOW)


def test_what_is_known_survives_the_disk_or_is_known_to_be_damaged() -> None:
    raw = packed(KNOWN)
    assert unpacked(raw) == KNOWN
    for at in range(0, len(raw), 7):
        broken = bytearray(raw)
        broken[at] ^= 4
        with pytest.raises(Damaged):
            unpacked(bytes(broken))
        with pytest.raises(Damaged):
            unpacked(raw[:at])


def test_a_persons_word_on_the_box_changes_whom_it_trusts_and_forgets_no_serial() -> None:
    other = Trust(1, {"anna": LINES["anna"]})
    found = by_hand(KNOWN, "zurich", other)
    assert found is not None and (found.serial, found.trust) == (7, other)
    nobody = by_hand(KNOWN, "zurich", None)
    assert nobody is not None and (nobody.serial, nobody.trust.keys) == (7, {})
    assert by_hand(None, "zurich", None) is None
    moved = by_hand(KNOWN, "geneva", other)
    assert moved is not None and moved.serial == 0


def test_of_two_boxes_the_higher_serial_is_known() -> None:
    later = Trusted("zurich", TRUST, 9, "9" * 64, NOW)
    assert newer(KNOWN, later) == later
    assert newer(later, KNOWN) == later
    assert newer(None, KNOWN) == KNOWN
