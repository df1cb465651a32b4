"""The shapes of nft's language: chains, sets of elements, comments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

INDENT = "    "
LONGEST_COMMENT = 120
"""nft refuses a comment of more than 128 bytes (NFTNL_UDATA_COMMENT_MAXLEN); the margin is for the eye."""


def comment(text: str) -> str:
    """` comment "text"`, to be put behind a rule or an element; text that is too long ends in an ellipsis."""
    if len(text) > LONGEST_COMMENT:
        text = text[: LONGEST_COMMENT - 3] + "..."
    return f' comment "{text}"'


def quoted(names: Iterable[str]) -> str:
    """Device names as a value or an anonymous set: `"lan0"` or `{ "lan0", "lan1" }`."""
    return one_or_set([f'"{name}"' for name in names])


def one_or_set(values: Sequence[str]) -> str:
    """A set costs the kernel a set; a single value costs a comparison, so it stands alone."""
    return values[0] if len(values) == 1 else "{ " + ", ".join(values) + " }"


def elements(lines: Iterable[str]) -> str:
    """An anonymous set or map with one element in each line, as it stands inside a rule of a chain."""
    inner = "".join(f"{INDENT * 3}{line},\n" for line in lines)
    return f"{{\n{inner}{INDENT * 2}}}"


def chain(name: str, rules: Iterable[str], hook: str = "", why: Sequence[str] = ()) -> str:
    """One chain of the table. `hook` makes it a base chain; `why` stands above it as comment lines."""
    lines = [f"{INDENT}# {line}" for line in why]
    lines.append(f"{INDENT}chain {name} {{")
    if hook:
        lines.append(f"{INDENT * 2}{hook}")
        lines.append("")
    lines += [f"{INDENT * 2}{rule}" if rule else "" for rule in rules]
    lines.append(f"{INDENT}}}")
    return "\n".join(lines) + "\n"
