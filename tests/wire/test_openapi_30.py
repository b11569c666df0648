"""The table of what differs between OpenAPI 3.1 and 3.0, row by row."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator, validate

from headrace.wire.openapi_30 import converted

REFERENCE = {"$ref": "#/components/schemas/A"}


def schema(given: Any) -> Any:
    """Convert one schema, where a parameter has one and where a component is one; both have to be alike."""
    parameter = {"name": "p", "in": "query", "schema": given}
    out = converted(document({"A": {"type": "object"}, "B": given}, parameter))
    validate(out, cls=OpenAPIV30SpecValidator)
    found = out["components"]["schemas"]["B"]
    assert out["paths"]["/a"]["get"]["parameters"][0]["schema"] == found
    return found


def document(schemas: dict[str, Any], parameter: Any = None) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "T",
            "version": "1",
            "summary": "S",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/a": {
                "get": {
                    "parameters": [parameter] if parameter else [],
                    "responses": {"default": {"description": "D"}},
                }
            }
        },
        "webhooks": {"w": {"post": {"responses": {"200": {"description": "W"}}}}},
        "components": {"schemas": schemas, "pathItems": {"/b": {}}},
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "minLength": 1}, {"type": "string", "minLength": 1}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        (
            {"oneOf": [{"type": "null"}, {"type": "integer", "exclusiveMinimum": 0}], "description": "D"},
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "nullable": True, "description": "D"},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        ),
        ({"anyOf": [REFERENCE, {"type": "null"}]}, {"allOf": [REFERENCE], "nullable": True}),
        ({"anyOf": [{"type": "null"}]}, {"nullable": True, "enum": [None]}),
        (
            {"description": "outer", "anyOf": [{"type": "string", "description": "inner"}, {"type": "null"}]},
            {"description": "outer", "nullable": True, "allOf": [{"type": "string", "description": "inner"}]},
        ),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        (
            {"type": ["string", "array", "null"]},
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}], "nullable": True},
        ),
        (
            {"type": ["string", "integer"], "anyOf": [{"minLength": 1}]},
            {"anyOf": [{"minLength": 1}], "allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}]},
        ),
        ({"type": "null"}, {"nullable": True, "enum": [None]}),
        ({"type": ["null"]}, {"nullable": True, "enum": [None]}),
        ({"enum": ["a", None]}, {"enum": ["a", None], "nullable": True}),
        (REFERENCE, REFERENCE),
        ({**REFERENCE, "description": "D"}, {"allOf": [REFERENCE], "description": "D"}),
        ({"const": "v"}, {"enum": ["v"]}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
        ({"type": "string", "examples": []}, {"type": "string"}),
        ({"type": "integer", "exclusiveMinimum": 1}, {"type": "integer", "minimum": 1, "exclusiveMinimum": True}),
        ({"type": "number", "exclusiveMaximum": 9}, {"type": "number", "maximum": 9, "exclusiveMaximum": True}),
        ({"type": "number", "minimum": 5, "exclusiveMinimum": 1}, {"type": "number", "minimum": 5}),
        (
            {"type": "number", "minimum": 1, "exclusiveMinimum": 5},
            {"type": "number", "minimum": 5, "exclusiveMinimum": True},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "maxItems": 2},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string"}], "minItems": 2, "items": False},
            {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}]},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {}]}},
        ),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "array", "items": True}, {"type": "array", "items": {}}),
        ({"type": "array", "items": False}, {"type": "array", "items": {"not": {}}}),
        ({"type": "string", "contentEncoding": "base64"}, {"type": "string", "format": "byte"}),
        ({"type": "string", "contentMediaType": "image/png"}, {"type": "string", "format": "binary"}),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False},
            {"type": "object", "additionalProperties": True},
        ),
        (
            {
                "type": "object",
                "properties": {"schema": {"type": ["string", "null"]}, "examples": {"const": 1}},
                "additionalProperties": {"type": ["integer", "null"]},
                "propertyNames": {"minLength": 1},
                "unevaluatedProperties": False,
                "dependentRequired": {"a": ["b"]},
                "required": [],
                "if": {},
                "then": {},
                "else": {},
            },
            {
                "type": "object",
                "properties": {"schema": {"type": "string", "nullable": True}, "examples": {"enum": [1]}},
                "additionalProperties": {"type": "integer", "nullable": True},
            },
        ),
        (
            {"type": "array", "items": {"const": 1}, "contains": {}, "minContains": 1},
            {"type": "array", "items": {"enum": [1]}},
        ),
        ({"not": {"type": "null"}}, {"not": {"nullable": True, "enum": [None]}}),
        ({"allOf": [{"const": 1}]}, {"allOf": [{"enum": [1]}]}),
        (True, {}),
        (False, {"not": {}}),
        (
            {"type": "object", "default": {"type": ["x", "null"]}},
            {"type": "object", "default": {"type": ["x", "null"]}},
        ),
    ],
)
def test_schemas(given: Any, expected: Any) -> None:
    assert schema(given) == expected


def test_definitions_inside_a_schema_are_components() -> None:
    given = {"$defs": {"Inner": {"type": ["string", "null"]}}, "properties": {"a": {"$ref": "#/$defs/Inner"}}}
    out = converted(document({"B": given}))
    assert out["components"]["schemas"] == {
        "B": {"properties": {"a": {"$ref": "#/components/schemas/Inner"}}},
        "Inner": {"type": "string", "nullable": True},
    }
    with pytest.raises(ValueError, match="two schemas define Inner"):
        converted(document({"B": given, "Inner": {"type": "integer"}}))


def test_what_is_around_the_schemas() -> None:
    given = document({})
    out = converted(given)
    assert out["openapi"] == "3.0.3"
    assert out["info"] == {"title": "T", "version": "1", "license": {"name": "Apache-2.0"}}
    assert out["components"] == {"schemas": {}}
    assert out["x-webhooks"] == given["webhooks"]
    assert "webhooks" not in out
    assert "jsonSchemaDialect" not in out
    assert out["paths"] == given["paths"]
    assert given == document({})
