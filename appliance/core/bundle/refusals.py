"""Every reason for which a bundle is refused: a class each, in the order in which they are looked for."""

from __future__ import annotations


class Refusal(Exception):
    """The bundle is refused; nothing of the box was changed. The text is the sentence for people."""

    @property
    def name(self) -> str:
        return type(self).__name__


# -- the envelope, before any signature was looked at ------------------------------------------------------------------


class TooLarge(Refusal):
    """More bytes than a bundle may have; nothing of it was read."""


class NotText(Refusal):
    """Not UTF-8, or characters in it that have no place in a text: CR, NUL, other controls."""


class NotABundle(Refusal):
    """Not, byte for byte, what `bundle create` and `bundle sign` write."""


class OtherPayloadType(Refusal):
    """A signed file of another kind: a receipt, or something from the future."""


class SameKeyTwice(Refusal):
    """One key signed twice: it counts once, and honest tools never write that."""


# -- the signatures ----------------------------------------------------------------------------------------------------


class NobodyTrusted(Refusal):
    """The box trusts no key: its configuration has no `trust:`."""


class WrongSignature(Refusal):
    """A trusted key's signature does not belong to this payload."""


class TooFewSignatures(Refusal):
    """Fewer trusted keys signed than `trust.threshold` asks for."""


# -- the payload: signed, and still not for this box, or not now -------------------------------------------------------


class UnreadablePayload(Refusal):
    """Signed, but no payload that this version understands."""


class OtherSite(Refusal):
    """Made for another site."""


class OtherBox(Refusal):
    """Made for other boxes of the site."""


class OldSerial(Refusal):
    """An older one than the box has seen already."""


class SerialUsedTwice(Refusal):
    """Another bundle with the same serial was seen before."""


class AlreadyApplied(Refusal):
    """This very bundle is what runs."""


class TriedBefore(Refusal):
    """This very bundle was rolled back; only a person has it tried again."""


class Expired(Refusal):
    """Its time is over, by the box's clock or by what the box knows the time to be at least."""


class NotYetValid(Refusal):
    """Issued in the future of the box's clock."""


class BadConfiguration(Refusal):
    """`appliance check` has something to say about the configuration in it."""


class TrustRemoved(Refusal):
    """Its configuration trusts nobody: no bundle could ever follow."""


# -- the secrets -------------------------------------------------------------------------------------------------------


class SecretsUnreadable(Refusal):
    """Sealed for somebody else, or damaged before they were sealed."""


class SecretChanged(Refusal):
    """Another value under a name that the box knows: a roll-back could not find the old one."""


class SecretMissing(Refusal):
    """The configuration names a secret that neither the box nor the bundle has."""
