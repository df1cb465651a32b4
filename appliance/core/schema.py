"""The JSON Schema of appliance.yaml, for editors: completion, descriptions, and red lines while typing.

It says what the model says about single values. What values mean to each other only `appliance check` knows.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from appliance.core.model import Config
from appliance.core.values import one_or_more

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NULL = {"type": "null"}


def json_schema() -> dict[str, Any]:
    """The schema as plain values, ready to be written as JSON."""
    schema = Config.model_json_schema(by_alias=True, schema_generator=_Generator)
    return {"$schema": DIALECT, **_tidied(schema), "title": "appliance.yaml"}


class _Generator(GenerateJsonSchema):
    schema_dialect = DIALECT

    def get_title_from_name(self, name: str) -> str:
        return name.replace("_", " ")

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        if schema["function"]["function"] is one_or_more and inner.get("type") == "array":
            return {"anyOf": [inner["items"], {**inner, "minItems": 1}]}
        return inner


def _tidied(value: Any) -> Any:
    """The same as the file is checked: only names as keys, no empty values, bounds in JSON Schema's words."""
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidied = {key: _tidied(item) for key, item in value.items()}
    if "patternProperties" in tidied:
        tidied.setdefault("additionalProperties", False)
    if tidied.get("type") == "integer":
        # pydantic does not translate the bounds of a type that a validator of ours stands in front of.
        tidied = {{"ge": "minimum", "le": "maximum"}.get(key, key): item for key, item in tidied.items()}
    if NULL in tidied.get("anyOf", ()):
        choices = [choice for choice in tidied.pop("anyOf") if choice != NULL]
        tidied = {**(choices[0] if len(choices) == 1 else {"anyOf": choices}), **tidied}
        tidied.pop("default", None)
    return tidied
