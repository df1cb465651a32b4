"""The front door: bytes of appliance.yaml to a Config, or every problem at once."""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from appliance.core.document import Document, read_document
from appliance.core.lint import lint
from appliance.core.model import Config
from appliance.core.problems import ConfigurationError, Path, Problem


def check(content: bytes) -> tuple[Config, Document]:
    """Reads and cross-checks a configuration.

    Raises ConfigurationError with every problem: of the file, of single values, and of the network they describe.
    The network is looked at only once every value is sound, since half a network gives wrong advice.
    """
    config, document = validated(content)
    found = linted(config, document)
    if found:
        raise ConfigurationError(found)
    return config, document


def validated(content: bytes) -> tuple[Config, Document]:
    """Reads a configuration whose values are sound one by one. Raises ConfigurationError with what is wrong in them."""
    document = read_document(content)
    if not isinstance(document.value, dict):
        raise ConfigurationError([Problem((), "the file must hold keys and values, beginning with `version: 1`")])
    empty = _nothing_written(document)
    try:
        config = Config.model_validate(document.value)
    except ValidationError as error:
        problems = [_problem(document, details) for details in error.errors(include_url=False, include_input=False)]
        told = {problem.path for problem in empty}
        raise ConfigurationError([*empty, *(one for one in problems if one.path not in told)]) from None
    if empty:
        raise ConfigurationError(empty)
    return config, document


def linted(config: Config, document: Document) -> list[Problem]:
    """What is wrong with the network that the values describe."""
    return [_placed(document, problem) for problem in lint(config)]


def _placed(document: Document, problem: Problem) -> Problem:
    """With its mark; and without the list position of a value that is written alone, not in a list."""
    path = problem.path
    if path and isinstance(path[-1], int) and path not in document.positions:
        path = path[:-1]
    return replace(problem, path=path, mark=document.mark(path))


def _nothing_written(document: Document) -> list[Problem]:
    """Keys without a value. What a key means without one, people do not agree on; `preshared_key:` least of all."""
    message = "nothing stands here; write a value, or remove the line"
    return [Problem(path, message, document.mark(path)) for path in document.empty]


def _problem(document: Document, details: ErrorDetails) -> Problem:
    path = _path(document.value, details["loc"])
    kind = details["type"]
    context = details.get("ctx", {})
    if kind == "appliance":
        message = str(context["message"])
    elif kind == "missing":
        message = f"`{path[-1]}` is missing; {_meaning(path)}"
    elif kind == "extra_forbidden":
        message = _unknown_key(path)
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        message = f"a mapping belongs here{_keys_of(path)}"
    elif kind == "list_type":
        message = "a list belongs here; begin each entry with `- `, or write [A, B]"
    else:
        message = f"{details['msg'][0].lower()}{details['msg'][1:]}"
    return Problem(path, message, document.mark(path))


def _path(value: Any, location: tuple[int | str, ...]) -> Path:
    """pydantic's location without the parts that are its own (`[key]`, the member of a union)."""
    path: list[int | str] = []
    for part in location:
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif part is location[-1] and part != "[key]" and isinstance(value, dict):
            pass  # a key that is missing
        else:
            continue
        path.append(part)
    return tuple(path)


def _model_at(path: Path) -> type[BaseModel] | None:
    """The model that describes the mapping at `path`, found by walking the annotations."""
    annotation: Any = Config
    for part in path:
        model = _model_in(annotation)
        if model and isinstance(part, str):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            if part not in fields:
                return None
            annotation = fields[part].annotation
        else:
            arguments = typing.get_args(_container_in(annotation))
            if not arguments:
                return None
            annotation = arguments[-1]
    return _model_in(annotation)


def _members(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(member for part in typing.get_args(annotation) for member in _members(part))
    return (annotation,)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None


def _container_in(annotation: Any) -> Any:
    return next((member for member in _members(annotation) if typing.get_origin(member) in (dict, list)), None)


def _known_keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown_key(path: Path) -> str:
    model = _model_at(path[:-1])
    known = _known_keys(model) if model else []
    near = difflib.get_close_matches(str(path[-1]), known, 1, 0.6)
    if near:
        return f"this key is not known; did you mean `{near[0]}`?"
    return f"this key is not known; known here are {', '.join(known)}"


def _keys_of(path: Path) -> str:
    model = _model_at(path)
    return f" with the keys {', '.join(_known_keys(model))}" if model else ", NAME: VALUE"


def _meaning(path: Path) -> str:
    model = _model_at(path[:-1])
    for name, field in (model.model_fields if model else {}).items():
        if (field.alias or name) == path[-1] and field.description:
            return f"add it: {field.description[0].lower()}{field.description[1:].rstrip('.')}"
    return "add it"
