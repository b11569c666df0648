"""An OpenAPI 3.1 document as 3.0.3, for tools that read no newer one. What 3.0 cannot say gets wider, never narrower.

Schemas are JSON Schema 2020-12 in 3.1 and a dialect of their own in 3.0; everything else hardly differs.
"""

import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
VERSION = "3.0.3"
SCHEMAS = "#/components/schemas/"

# Of these 3.0 knows nothing.
UNKNOWN = frozenset(
    {
        "$anchor",
        "$comment",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$schema",
        "$vocabulary",
        "contains",
        "contentSchema",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
SCHEMA_MAPS = ("properties",)
SCHEMA_LISTS = ("allOf", "anyOf", "oneOf")
# Values of these are data, whatever they look like.
DATA = frozenset({"example", "examples"})
DEFINITION = re.compile(r"^#(?:/.*)?/\$defs/")


def converted(document: Json) -> Json:
    """Return the whole document as 3.0.3; the one given stays as it is."""
    schemas: Json = {}
    out = {key: _plain(value, schemas) for key, value in document.items() if key != "jsonSchemaDialect"}
    out["openapi"] = VERSION
    out["info"] = _info(document.get("info", {}))
    components = dict(out.get("components", {}))
    components.pop("pathItems", None)
    given = document.get("components", {}).get("schemas", {})
    for name, schema in given.items():
        if schemas.setdefault(name, found := _schema(schema, schemas)) != found:
            raise ValueError(f"two schemas define {name}, and not alike")
    components["schemas"] = dict(sorted(schemas.items()))
    out["components"] = components
    if "webhooks" in out:
        out["x-webhooks"] = out.pop("webhooks")
    out.setdefault("paths", {})
    return out


def _info(info: Json) -> Json:
    out = {key: value for key, value in info.items() if key != "summary"}
    if "license" in out:
        out["license"] = {key: value for key, value in out["license"].items() if key != "identifier"}
    return out


def _plain(node: Any, schemas: Json) -> Any:
    """Convert what is no schema: of its members `schema` is one, and everything deeper is looked through."""
    if isinstance(node, list):
        return [_plain(item, schemas) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value if key in DATA else _schema(value, schemas) if key == "schema" else _plain(value, schemas)
        for key, value in node.items()
        if key != "schemas"
    }


def _schema(given: Any, schemas: Json) -> Json:
    """Convert one schema; definitions inside it go to `schemas`."""
    if given is True:
        return {}
    if given is False:
        return {"not": {}}
    for name, inner in given.get("$defs", {}).items():
        if schemas.setdefault(name, found := _schema(inner, schemas)) != found:
            raise ValueError(f"two schemas define {name}, and not alike")
    out = {key: value for key, value in given.items() if key not in UNKNOWN and key != "$defs"}
    _inner(out, schemas)
    for step in STEPS:
        step(out)
    if "$ref" in out:
        reference = {"$ref": DEFINITION.sub(SCHEMAS, out.pop("$ref"))}
        return {"allOf": [reference], **out} if out else reference
    return out


def _inner(out: Json, schemas: Json) -> None:
    """Convert the schemas that stand in this one."""
    for key in SCHEMA_MAPS:
        if key in out:
            out[key] = {name: _schema(one, schemas) for name, one in out[key].items()}
    for key in (*SCHEMA_LISTS, "prefixItems"):
        if key in out:
            out[key] = [_schema(one, schemas) for one in out[key]]
    if "not" in out:
        out["not"] = _schema(out["not"], schemas)
    if "items" in out and not isinstance(out["items"], bool):
        out["items"] = _schema(out["items"], schemas)
    if isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = _schema(out["additionalProperties"], schemas)


def _constants(out: Json) -> None:
    if "const" in out:
        out["enum"] = [out.pop("const")]
    if "examples" in out:
        examples = out.pop("examples")
        if examples:
            out.setdefault("example", examples[0])


def _types(out: Json) -> None:
    """`type` is one name in 3.0, and null none of them."""
    kinds = out.get("type")
    if kinds == "null":
        del out["type"]
        out |= {"nullable": True, "enum": [None]}
    if not isinstance(kinds, list):
        return
    left = [kind for kind in kinds if kind != "null"]
    del out["type"]
    if len(left) < len(kinds):
        out["nullable"] = True
    if len(left) == 1:
        out["type"] = left[0]
    elif left:
        either = {"anyOf": [{"type": kind} | ({"items": {}} if kind == "array" else {}) for kind in left]}
        if "anyOf" in out:
            out["allOf"] = [*out.get("allOf", []), either]
        else:
            out |= either
    else:
        out["enum"] = [None]


def _nulls(out: Json) -> None:
    """Of alternatives, null is not one; it is a mark on the others."""
    for key in ("anyOf", "oneOf"):
        choices = out.get(key)
        if choices is None:
            continue
        left = [one for one in choices if one != {"nullable": True, "enum": [None]}]
        if len(left) == len(choices):
            continue
        out["nullable"] = True
        if len(left) != 1:
            out[key] = left
        elif "$ref" in left[0] or set(left[0]) & (set(out) - {"nullable"}):
            del out[key]
            out["allOf"] = [*out.get("allOf", []), left[0]]
        else:
            del out[key]
            out |= left[0]
        if not left:
            del out[key]
            out["enum"] = [None]
    if None in out.get("enum", ()):
        out["nullable"] = True


def _bounds(out: Json) -> None:
    """Exclusive bounds are numbers in 3.1 and a mark on the other bound in 3.0."""
    for exclusive, plain, tighter in (("exclusiveMinimum", "minimum", max), ("exclusiveMaximum", "maximum", min)):
        bound = out.get(exclusive)
        if bound is None or isinstance(bound, bool):
            continue
        if plain in out and tighter(out[plain], bound) != bound:
            del out[exclusive]
        else:
            out |= {plain: bound, exclusive: True}


def _places(out: Json) -> None:
    """Lists whose members differ by place: any of the kinds may stand at each."""
    kinds = out.pop("prefixItems", None)
    more = out.get("items")
    if kinds is not None:
        if more is False:
            out["maxItems"] = min(out.get("maxItems", len(kinds)), len(kinds))
        unlike = [one for number, one in enumerate(kinds) if one not in kinds[:number]]
        if more is not False:
            unlike.append(more if isinstance(more, dict) else {})
        out["items"] = unlike[0] if len(unlike) == 1 else {"anyOf": unlike} if unlike else {}
    elif isinstance(more, bool):
        out["items"] = {} if more else {"not": {}}
    elif out.get("type") == "array" and more is None:
        out["items"] = {}


def _rest(out: Json) -> None:
    encoding, media = out.pop("contentEncoding", None), out.pop("contentMediaType", None)
    if encoding == "base64":
        out["format"] = "byte"
    elif media is not None:
        out["format"] = "binary"
    if out.pop("patternProperties", None) is not None:
        out["additionalProperties"] = True
    if out.get("required") == []:
        # 3.0 wants at least one name.
        del out["required"]


STEPS: tuple[Callable[[Json], None], ...] = (_constants, _types, _nulls, _bounds, _places, _rest)
