"""Frozen dataclasses to JSON and back, by their annotations; enough for core/state.py, and no more."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any


def to_json(value: Any) -> Any:
    """Plain dicts, lists and scalars; sets sorted, so that equal values give equal text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(to_json(item) for item in value)
    return value


def from_json[T](kind: type[T], data: Any) -> T:
    """The inverse of to_json for `kind`. Raises KeyError or TypeError where the data is of another shape."""
    return typing.cast(T, _decoder(typing.cast(typing.Hashable, kind))(data))


@functools.cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        parts = [(each.name, _decoder(hints[each.name])) for each in fields(kind)]
        build = typing.cast(Callable[..., Any], kind)
        return lambda data: build(**{name: decode(data[name]) for name, decode in parts if name in data})
    if origin in (typing.Union, types.UnionType):
        inner = _decoder(next(argument for argument in arguments if argument is not types.NoneType))
        return lambda data: None if data is None else inner(data)
    if origin in (tuple, list, frozenset):
        item = _decoder(arguments[0])
        return lambda data: origin(item(element) for element in data)
    if origin is dict:
        value = _decoder(arguments[1])
        return lambda data: {key: value(element) for key, element in data.items()}
    return lambda data: data
