"""The word by which a factory reset says which box it means."""

from __future__ import annotations

import hashlib

_PURPOSE = b"appliance factory reset"


def reset_code(machine_id: str) -> str:
    """Eight hexadecimal digits, as 1a2b-3c4d, that follow from the machine's identity.

    The identity itself is not for showing around (machine-id(5)). A reset makes a new one, so that a stick with the
    code of before does nothing more.
    """
    digest = hashlib.sha256(_PURPOSE + machine_id.strip().encode()).hexdigest()
    return f"{digest[:4]}-{digest[4:8]}"
