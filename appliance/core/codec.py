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
    kind: Any = type(value)
    return _encoder(kind)(value)


@functools.cache
def _encoder(kind: Any) -> Callable[[Any], Any]:
    """What encodes values of this very class: asked for once a class, not once a value."""
    if is_dataclass(kind):
        names = tuple(each.name for each in fields(kind))
        return lambda value: {name: to_json(getattr(value, name)) for name in names}
    if issubclass(kind, dict):
        return lambda value: {key: to_json(item) for key, item in value.items()}
    if issubclass(kind, tuple | list):
        return lambda value: [each if type(each) is str else to_json(each) for each in value]
    if issubclass(kind, frozenset | set):
        return lambda value: sorted(to_json(item) for item in value)
    return lambda value: value


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
        # Most are of strings, and there are thousands.
        return origin if item is _as_it_is else lambda data: origin([item(element) for element in data])
    if origin is dict:
        value = _decoder(arguments[1])
        return lambda data: {key: value(element) for key, element in data.items()}
    return _as_it_is


def _as_it_is(data: Any) -> Any:
    return data
