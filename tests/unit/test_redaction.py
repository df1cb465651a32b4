"""What a person sends away holds no secret of the box, in whatever form it stands there."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.redaction import Redactor

KEY = base64.b64encode(bytes(range(7, 39))).decode()
RAW = base64.b64decode(KEY)
IDENTITY = """\
# created: 2026-11-24T12:00:00Z
# public key: age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq
AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQQX7ZQK
"""
HASH = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
BODY = base64.b64encode(b"openssh-key-v1\0" + bytes(range(200))).decode()
SSH_KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    + "".join(f"{BODY[at : at + 70]}\n" for at in range(0, len(BODY), 70))
    + "-----END OPENSSH PRIVATE KEY-----\n"
)

FORMS = {
    "as it is written": KEY,
    "without its end": KEY.rstrip("="),
    "in another word": f"key={KEY};next",
    "twice in one word": f"{KEY}{KEY}",
    "base64 for URLs": base64.urlsafe_b64encode(RAW).decode(),
    "hex": RAW.hex(),
    "hex in capitals": RAW.hex().upper(),
    "base64 of the text": base64.b64encode(KEY.encode()).decode(),
    "base64 of the file": base64.b64encode(f"{KEY}\n".encode()).decode(),
    "hex of the text": KEY.encode().hex(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("content", [KEY, f"{KEY}\n"], ids=["alone", "with a line end"])
def test_a_secret_of_the_box_is_gone_in_every_form(form: str, content: str) -> None:
    said = Redactor([("/secrets/psk", content.encode())]).clean(f"before {form} after\n")
    assert said.startswith("before ") and said.endswith(" after\n") and "[redacted: /secrets/psk]" in said
    assert form.rstrip("=") not in said and KEY[:8] not in said and RAW.hex()[:8] not in said.lower()


def test_a_secret_that_is_kept_in_hex_is_gone_in_base64_too() -> None:
    assert Redactor([("psk", RAW.hex().encode())]).clean(f"{RAW.hex()} {KEY}") == "[redacted: psk] [redacted: psk]"


@given(st.binary(min_size=32, max_size=32), st.text(), st.text())
def test_no_key_survives_between_any_two_texts(raw: bytes, before: str, after: str) -> None:
    key = base64.b64encode(raw).decode()
    said = Redactor([("psk", key.encode())]).clean(f"{before}{key}{after}{raw.hex()}")
    assert key not in said and raw.hex() not in said


@pytest.mark.parametrize("password", ["s3cret", "x", "correct horse battery", "  two  blanks ", "a.b*c", "pass-w"])
def test_a_password_that_is_short_or_has_blanks_goes_where_it_stands_by_itself(password: str) -> None:
    redactor = Redactor([("/secrets/provider", f"{password}\n".encode())])
    for text in (f"password {password}", f"'{password.strip()}'", f"pppd[1]: sent [{password}]"):
        said = redactor.clean(text)
        assert password.strip() not in said.replace("[redacted: /secrets/provider]", ""), said
    assert redactor.clean("xylophones pass-words s3crets") == "xylophones pass-words s3crets"


def test_the_secret_lines_of_an_identity_go_and_its_public_half_stays() -> None:
    redactor = Redactor([("/age/identity.key", IDENTITY.encode())])
    said = redactor.clean(IDENTITY)
    assert "AGE-SECRET-KEY" not in said and "age1qyqszqgpqyqszqgp" in said


def test_a_consoles_hash_goes_with_and_without_its_name() -> None:
    redactor = Redactor([("/console", f"admin:{HASH}\n".encode())])
    for text in (f"admin:{HASH}", HASH, base64.b64encode(HASH.encode()).decode()):
        said = redactor.clean(text)
        assert HASH not in said and "redacted: /console" in said, said
    assert redactor.clean("admin logs in") == "admin logs in"


def test_a_pem_file_goes_whole_in_pieces_and_in_one_line() -> None:
    redactor = Redactor([("/ssh/key", SSH_KEY.encode())])
    for text in (
        SSH_KEY,
        BODY,
        BODY[70:140],
        base64.b64decode(BODY).hex(),
        base64.b64encode(SSH_KEY.encode()).decode(),
    ):
        assert "redacted" in redactor.clean(text) and text not in redactor.clean(text)


OTHERS = {
    "a wg-quick file": (f"PrivateKey = {KEY}", "PrivateKey = [redacted: a key]"),
    "a preshared key in YAML": (f"preshared_key: '{KEY}'", "preshared_key: '[redacted: a key]'"),
    "an engine's interface": (f"private_key={RAW.hex()}", "private_key=[redacted: a key]"),
    "JSON": (f'"private_key": "{KEY}"', '"private_key": "[redacted: a key]"'),
    "PEM": (f"a\n{SSH_KEY}b", "a\n[redacted: a private key]\nb"),
    "PEM that was cut off": (f"{SSH_KEY[:90]}\n12:00 is noon", "[redacted: a private key]12:00 is noon"),
    "PEM in a journal": (
        "".join(f"12:00 box: {line}\n" for line in SSH_KEY.splitlines()) + "12:01 box: more",
        "12:00 box: [redacted: a private key]\n12:01 box: more",
    ),
    "age": (IDENTITY.splitlines()[2], "[redacted: an age identity]"),
    "crypt": (f"password {HASH} set", "password [redacted: a password's hash] set"),
    "a URL": ("https://box:s3cret@example.net/b", "https://box:[redacted: a password]@example.net/b"),
}


@pytest.mark.parametrize(("text", "expected"), OTHERS.values(), ids=OTHERS)
def test_what_looks_secret_goes_though_this_box_does_not_have_it(text: str, expected: str) -> None:
    assert Redactor([]).clean(text) == expected


STAY = {
    "a public key": f"public_key: {KEY}",
    "wg show": f"peer: {KEY}\n  preshared key: (hidden)\n  endpoint: [2001:db8::1]:51820",
    "the name of a secret": "preshared_key: {secret: psk-alice}",
    "a URL without a password": "url: https://example.net:8443/a@b",
    "a shell's variables": "$1 $HOME $5$",
    "an ssh public key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBsomething anna@laptop",
}


@pytest.mark.parametrize("text", STAY.values(), ids=STAY)
def test_what_helps_stays(text: str) -> None:
    other = base64.b64encode(bytes(32)).decode()
    assert Redactor([("psk", other.encode()), ("empty", b""), ("short", b"lan\n")]).clean(text) == text
