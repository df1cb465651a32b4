"""The kinds of values that appliance.yaml holds, each with the sentence that says what to write instead.

Every check here looks at one value alone; what values mean to each other is the network linter's (lint/).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from datetime import date
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

NAME = r"[a-z][a-z0-9-]*"
_NAME = re.compile(NAME + r"\Z")
_DEVICE = re.compile(r"[A-Za-z0-9_.-]+\Z")
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.?\Z")
_HTTPS = re.compile(r"https://[A-Za-z0-9.\-\[\]:]{1,253}/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{1,500}\Z")
_PERIOD = re.compile(r"([0-9]{1,5})([smh])\Z")
_AGE = re.compile(r"([0-9]{1,5})d\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_SSH_ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0 "
"""An ed25519 public key on the wire: two strings, each behind its length (RFC 8709, section 4)."""
LONGEST_CREDENTIAL = 128
"""Bytes of a PPP user name or password; pppd takes 256 (MAXNAMELEN, MAXSECRETLEN), no provider gives as many."""
_PORTS = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")


def bad(message: str) -> PydanticCustomError:
    """The error that pydantic carries to the place where it happened."""
    return PydanticCustomError("appliance", "{message}", {"message": message})


def shown(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _text(value: Any, wanted: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise bad(f"a value is missing; write {wanted}")
    if isinstance(value, dict | list):
        kind = "a mapping" if isinstance(value, dict) else "a list"
        raise bad(f"this is {kind}; write {wanted}")
    hint = " (digits that are a name stand in quotes)" if wanted == "a name" else f"; write {wanted}"
    raise bad(f"{shown(value)} is not {'a name' if wanted == 'a name' else 'what belongs here'}{hint}")


def _name(limit: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value, "a name")
        if not _NAME.match(text):
            hint = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
            hint = hint if _NAME.match(hint) else "office"
            like = f"use a-z, 0-9 and -, beginning with a letter, such as {hint[:limit]}"
            raise bad(f"{shown(text)} is not a name; {like}")
        if len(text) > limit:
            raise bad(f"{shown(text)} is too long; a name here has at most {limit} characters")
        return text

    return check


def _device(value: Any) -> str:
    text = _text(value, "a network device, such as enp1s0")
    if not _DEVICE.match(text) or text in (".", ".."):
        raise bad(f"{shown(text)} is not the name of a network device; write one such as enp1s0 (see `ip link`)")
    if len(text) > 15:
        raise bad(f"{shown(text)} is too long; the kernel's device names have at most 15 characters")
    return text


def _without_scope(text: str) -> str:
    """Python takes anything behind a % for the scope of an IPv6 address; here the interface says the scope."""
    if "%" in text:
        raise bad(f"{shown(text)} has a scope; write the address without `%` and what follows it")
    return text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _address(value: Any) -> Address:
    text = _without_scope(_text(value, "an IP address, such as 192.168.10.20"))
    try:
        return ip_address(text)
    except ValueError:
        alone = text.partition("/")[0]
        if alone != text and _is_address(alone):
            raise bad(f"{shown(text)} has a prefix length; write the address alone, {alone}") from None
        raise bad(f"{shown(text)} is not an IP address; write one such as 192.168.10.20 or fd00::20") from None


def _interface(value: Any) -> Interface:
    text = _without_scope(_text(value, "an address with its prefix length, such as 192.168.10.1/24"))
    if _is_address(text):
        length = 64 if ":" in text else 24
        raise bad(f"{shown(text)} has no prefix length; write for example {text}/{length}")
    try:
        interface = ip_interface(text)
    except ValueError:
        message = f"{shown(text)} is not an address with a prefix length; write one such as 192.168.10.1/24"
        raise bad(message) from None
    whole = interface.version == 4 and interface.network.prefixlen < 31
    if whole and interface.ip in (interface.network.network_address, interface.network.broadcast_address):
        which = "network's own" if interface.ip == interface.network.network_address else "broadcast"
        raise bad(f"{text} is the {which} address; write a host's, such as {_first_host(interface)}")
    return interface


def _first_host(interface: Interface) -> str:
    return f"{interface.network.network_address + 1}/{interface.network.prefixlen}"


def _uplink_address(value: Any) -> Interface | str:
    if value in ("dhcp", "ra", "pppoe"):
        return str(value)
    if isinstance(value, str) and "/" not in value and not any(c.isdigit() for c in value):
        words = "or dhcp, or ra, or pppoe"
        raise bad(f"{shown(value)} is not known here; write an address such as 192.168.10.1/24, {words}")
    return _interface(value)


def _user(value: Any) -> str:
    text = _text(value, "the name that the provider gave")
    if not text.isprintable() or not 0 < len(text.encode()) <= LONGEST_CREDENTIAL:
        limit = f"1 to {LONGEST_CREDENTIAL} printable characters"
        raise bad(f"{shown(value)} is no user name; write the one that the provider gave, {limit}")
    return text


def _network(value: Any) -> Network:
    text = _without_scope(_text(value, "a network, such as 192.168.20.0/24"))
    try:
        return ip_network(text)
    except ValueError:
        try:
            right = ip_network(text, strict=False)
        except ValueError:
            message = f"{shown(text)} is not a network; write one such as 192.168.20.0/24 or fd00:20::/48"
            raise bad(message) from None
        raise bad(f"{text} has bits set beyond its prefix length; write {right}") from None


def network_or(otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Accepts a network or an address, which no name looks like, and everything that `otherwise` accepts."""

    def check(value: Any) -> Any:
        looks = isinstance(value, str) and (value.count(".") > 1 or ":" in value or "/" in value)
        return _network(value) if looks else otherwise(value)

    return check


def _public_key(value: Any) -> str:
    text = _text(value, "a WireGuard public key (44 characters that end in =)")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32 or base64.b64encode(raw).decode() != text:
        message = "this is not a WireGuard public key; it has 44 characters and ends in =, as `wg pubkey` prints it"
        raise bad(message)
    return text


def fingerprint(line: str) -> str:
    """SHA256:..., as `ssh-keygen -l` names a public key that SigningKey accepted."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(_ssh_blob(line)).digest()).decode().rstrip('=')}"


def ed25519_bytes(line: str) -> bytes:
    """The 32 bytes of a public key that SigningKey accepted."""
    return _ssh_blob(line)[len(_SSH_ED25519) :]


def _ssh_blob(line: str) -> bytes:
    words = line.split()
    if len(words) < 2 or words[0] != "ssh-ed25519":
        raise ValueError(line)
    blob = base64.b64decode(words[1], validate=True)
    if len(blob) != len(_SSH_ED25519) + 32 or not blob.startswith(_SSH_ED25519):
        raise ValueError(line)
    return blob


def _signing_key(value: Any) -> str:
    text = _text(value, "an OpenSSH public key (ssh-ed25519 AAAA...)")
    try:
        _ssh_blob(text)
    except (binascii.Error, ValueError):
        message = "this is not an ed25519 public key; write the one line of its .pub file: ssh-ed25519 AAAA... NAME"
        raise bad(message) from None
    return " ".join(text.split()[:2])


_LOGIN_KEYS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_SHORTEST_RSA_BYTES = 2048 // 8


def ssh_strings(blob: bytes) -> list[bytes]:
    """The strings of which a public key consists on the wire (RFC 4251, section 5). Raises ValueError."""
    found = []
    while blob:
        length = int.from_bytes(blob[:4])
        if len(blob) < 4 + length:
            raise ValueError("cut off")
        found.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return found


def _login_key(value: Any) -> str:
    """`TYPE BASE64`, as OpenSSH's .pub files begin; the comment behind it is left away."""
    text = _text(value, "an OpenSSH public key (ssh-ed25519 AAAA...)")
    if "PRIVATE KEY" in text:
        raise bad("this is a private key, which nobody else may have; write the one line of its .pub file")
    words = text.split()
    if "\n" in text.strip() or not words or words[0] not in _LOGIN_KEYS:
        kinds = "ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 or a key of a security token (sk-...)"
        raise bad(f"this is no ssh public key; write the one line of its .pub file, which begins with {kinds}")
    try:
        strings = ssh_strings(base64.b64decode(words[1], validate=True))
        whole = len(strings) > 1 and strings[0] == words[0].encode() and all(strings)
    except (IndexError, binascii.Error, ValueError):
        whole = False
    if not whole or (words[0] == "ssh-ed25519" and [len(each) for each in strings] != [11, 32]):
        raise bad("this ssh public key is not whole; copy the one line of its .pub file again")
    if words[0] == "ssh-rsa" and len(strings[-1].lstrip(b"\0")) < _SHORTEST_RSA_BYTES:
        raise bad("this RSA key is shorter than 2048 bits; make a new key: ssh-keygen -t ed25519")
    return " ".join(words[:2])


class Endpoint(NamedTuple):
    """Where a peer listens: a host name or address, and a UDP port."""

    host: str
    port: int

    @property
    def is_name(self) -> bool:
        return not _is_address(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _endpoint(value: Any) -> Endpoint:
    text = _without_scope(_text(value, "host:port, such as geneva.example.net:51820"))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > 5:
        raise bad(f"{shown(text)} has no port; write host:port, such as geneva.example.net:51820")
    if not 1 <= int(port) <= 65535:
        raise bad(f"port {port} does not exist; ports are 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        instead = f"[{host}]:{port}" if _is_address(host) else "[2001:db8::7]:51820"
        raise bad(f"{shown(text)}: an IPv6 address stands in brackets here; write {instead}")
    try:
        host = str(ip_address(host))
    except ValueError:
        if not _HOST_NAME.match(host) or host.replace(".", "").isdigit() or ":" in host:
            raise bad(f"{shown(host)} is neither a host name nor an IP address") from None
    return Endpoint(host, int(port))


class Ports(NamedTuple):
    """A protocol with a port or a range of ports; `last` equals `first` for a single one."""

    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.protocol}/{self.first}" + (f"-{self.last}" if self.last != self.first else "")


def _ports(value: Any) -> Ports:
    if str(value).isdecimal():
        raise bad(f"{shown(value)} has no protocol; write tcp/{value} or udp/{value}"[:200])
    text = _text(value, "a protocol and port, such as tcp/445 or udp/5000-5010")
    found = _PORTS.match(text)
    if not found:
        raise bad(f"{shown(text)} is not a protocol and port; write tcp/445 or udp/5000-5010")
    first = int(found[2])
    last = int(found[3] or found[2])
    if not 1 <= first <= last <= 65535:
        raise bad(f"{shown(text)}: ports are 1 to 65535, the smaller one first")
    return Ports(found[1], first, last)


def _port(value: Any) -> Ports:
    ports = _ports(value)
    if ports.first != ports.last:
        raise bad(f"{shown(value)} is a range; one forward carries one port")
    return ports


def integer(low: int, high: int, what: str) -> Callable[[Any], Any]:
    """A whole number from `low` to `high`; `what` names the thing and its unit."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            if isinstance(value, str) and value.isdecimal():
                raise bad(f"{shown(value)} stands in quotes; write the number without them")
            what_stands = "nothing stands here" if value is None else f"{shown(value)} is not a whole number"
            raise bad(f"{what_stands}; write {what}, {low} to {high}")
        if not low <= value <= high:
            raise bad(f"{value} is out of range; write {what}, {low} to {high}")
        return value

    return check


def hundredths(low: float, high: float, what: str) -> Callable[[Any], float]:
    """A number from `low` to `high` with at most two decimals; `what` names the thing and its unit."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            what_stands = "nothing stands here" if value is None else f"{shown(value)} is not a number"
            raise bad(f"{what_stands}; write {what}, {low} to {high}")
        if not low <= value <= high:
            raise bad(f"{value} is out of range; write {what}, {low} to {high}")
        if round(value, 2) != value:
            raise bad(f"{value} is finer than VRRP can say; write hundredths of a second, such as {value:.2f}")
        return float(value)

    return check


def _https_url(value: Any) -> str:
    text = _text(value, "an address that begins with https://")
    if not _HTTPS.match(text):
        instead = text.replace("http://", "https://", 1) if text.startswith("http://") else "https://HOST/PATH"
        raise bad(f"{shown(text)} is not an address to fetch from; write one such as {shown(instead)}")
    return text


def _period(value: Any) -> float:
    """Seconds."""
    found = _PERIOD.match(value) if isinstance(value, str) else None
    seconds = int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0
    if not 10 <= seconds <= 86400:
        raise bad(f"{shown(value)} is no time from 10s to 24h; write 15m or 1h")
    return float(seconds)


def _day(value: Any) -> date:
    text = _text(value, "a day, such as 2027-03-31")
    try:
        return date.fromisoformat(text) if _DAY.match(text) else _no_day(text)
    except ValueError:
        return _no_day(text)


def _no_day(text: str) -> date:
    raise bad(f"{shown(text)} is no day; write YEAR-MONTH-DAY, such as 2027-03-31")


def _age(value: Any) -> int:
    """Days."""
    found = _AGE.match(value) if isinstance(value, str) else None
    if not found or not 1 <= int(found[1]) <= 3650:
        raise bad(f"{shown(value)} is no time from 1d to 3650d; write days, such as 180d")
    return int(found[1])


def one_or_more(value: Any) -> Any:
    """`address: X` and `address: [X, Y]` are both well understood by people; the model holds lists."""
    if isinstance(value, list):
        if not value:
            raise bad("the list is empty; write a value, or leave the key away")
        return value
    return [value]


def choice(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words or not isinstance(value, str):
            raise bad(f"{shown(value)} is not known here; write {' or '.join(words)}")
        return value

    return check


def or_word(word: str, otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Accepts `word` as it stands, and everything that `otherwise` accepts."""

    def check(value: Any) -> Any:
        if value == word and isinstance(value, str):
            return value
        if isinstance(value, str) and not value.isdecimal():
            raise bad(f"{shown(value)} is not known here; write {word} or a number")
        return otherwise(value)

    return check


def _schema(description: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": description, **more})


_AS_TEXT = PlainSerializer(str, return_type=str)

Name = Annotated[str, BeforeValidator(_name(32)), _schema("a-z, 0-9 and -", pattern=f"^{NAME}$", maxLength=32)]
TunnelName = Annotated[str, BeforeValidator(_name(12)), _schema("a-z, 0-9 and -", pattern=f"^{NAME}$", maxLength=12)]
"""At most 12 characters: the interface is wg-NAME, and the kernel's names end at 15."""
Device = Annotated[str, BeforeValidator(_device), _schema("a network device", pattern="^[A-Za-z0-9_.-]{1,15}$")]
HostAddress = Annotated[Address, BeforeValidator(_address), _AS_TEXT, _schema("an IP address")]
InterfaceAddress = Annotated[Interface, BeforeValidator(_interface), _AS_TEXT, _schema("ADDRESS/LENGTH")]
UplinkAddress = Annotated[
    Interface | str, BeforeValidator(_uplink_address), _AS_TEXT, _schema("ADDRESS/LENGTH, or dhcp, or ra, or pppoe")
]
PppUser = Annotated[str, BeforeValidator(_user), _schema("a user name", maxLength=LONGEST_CREDENTIAL)]
Subnet = Annotated[Network, BeforeValidator(_network), _AS_TEXT, _schema("NETWORK/LENGTH")]
PublicKey = Annotated[
    str, BeforeValidator(_public_key), _schema("a WireGuard public key", pattern="^[A-Za-z0-9+/]{43}=$")
]
SigningKey = Annotated[
    str, BeforeValidator(_signing_key), _schema("an OpenSSH ed25519 public key", pattern="^ssh-ed25519 [A-Za-z0-9+/=]+")
]
LoginKey = Annotated[
    str,
    BeforeValidator(_login_key),
    _schema("an OpenSSH public key", pattern="^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+"),
]
HttpsUrl = Annotated[str, BeforeValidator(_https_url), _schema("an https:// address", pattern="^https://")]
Day = Annotated[date, BeforeValidator(_day), _AS_TEXT, _schema("a day, UTC", pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Age = Annotated[int, BeforeValidator(_age), _schema("days", pattern="^[0-9]+d$")]
Period = Annotated[float, BeforeValidator(_period), _schema("seconds, minutes or hours", pattern="^[0-9]+[smh]$")]
PeerEndpoint = Annotated[Endpoint, BeforeValidator(_endpoint), _AS_TEXT, _schema("HOST:PORT")]
PortRange = Annotated[Ports, BeforeValidator(_ports), _AS_TEXT, _schema("tcp/PORT or udp/FIRST-LAST")]
OnePort = Annotated[Ports, BeforeValidator(_port), _AS_TEXT, _schema("tcp/PORT or udp/PORT")]
PortNumber = Annotated[int, BeforeValidator(integer(1, 65535, "a port")), Field(ge=1, le=65535)]
Mtu = Annotated[int, BeforeValidator(integer(576, 9216, "an MTU in bytes")), Field(ge=576, le=9216)]
AdvertSeconds = Annotated[
    float,
    BeforeValidator(hundredths(0.02, 1, "seconds")),
    WithJsonSchema({"type": "number", "minimum": 0.02, "maximum": 1}),
]
