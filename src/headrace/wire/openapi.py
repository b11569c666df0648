"""One OpenAPI 3.1 document for all doors: the framework's routes, the hot ones, and every door's errors."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar

from headrace import __version__
from headrace.wire.door import TERMS, Door, HotRoute, Terms

Json = dict[str, Any]

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API key."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    "ingest": {"type": "apiKey", "in": "header", "name": "X-INGEST-KEY", "description": "A project's ingest key."},
}
# Statuses that only a body can lead to, and those that only a credential can.
OF_BODIES = frozenset({413, 415})
OF_CREDENTIALS = frozenset({401, 403})
_PARAMETER = re.compile(r"\{(\w+)\}")


def document(doors: Sequence[Door], apps: Mapping[str, Litestar]) -> Json:
    """Describe every listed route of every door; component names carry their door."""
    paths: dict[str, Json] = {}
    schemas: Json = {}
    for door in doors:
        found = described(door, apps[door.name])
        for path, operations in found["paths"].items():
            _place(paths, path, operations)
        schemas |= found["schemas"]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headrace", "version": __version__},
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": SCHEMES},
    }


def described(door: Door, app: Litestar) -> Json:
    """Describe one door: its paths and the schemas they refer to."""
    whole = app.openapi_schema.to_schema()
    paths: dict[str, Json] = {}
    handlers = {
        (method.lower(), path): handler
        for handler in door.routes
        for path in _formats(handler.paths)
        for method in handler.http_methods
    }
    for path, operations in whole.get("paths", {}).items():
        for method, operation in operations.items():
            handler = handlers[method, path]
            operation["summary"] = (handler.fn.__doc__ or "").partition("\n")[0].rstrip(".")
            paths.setdefault(path, {})[method] = _completed(door, handler.opt[TERMS], operation)
    schemas: Json = dict(whole.get("components", {}).get("schemas", {}))
    for route in door.hot:
        if route.listed:
            paths.setdefault(route.path, {})[route.method.lower()] = _hot(door, route, schemas)
    if door.problem is not None:
        _schema(door.problem, schemas)
    return {
        "paths": _named(paths, door.name),
        "schemas": {f"{door.name}.{k}": _named(v, door.name) for k, v in schemas.items()},
    }


def _formats(paths: Any) -> list[str]:
    return [re.sub(r"\{(\w+):\w+\}", r"{\1}", path) for path in paths]


def _completed(door: Door, terms: Terms, operation: Json) -> Json:
    """Add what the framework cannot know: credentials, errors in the door's envelope, the operation's id."""
    responses = {status: answer for status, answer in operation["responses"].items() if int(status) < 400}  # noqa: PLR2004
    for answer in responses.values():
        answer.pop("headers", None)
    statuses = set(door.statuses) | set(terms.errors)
    if not terms.body:
        statuses -= OF_BODIES
    if not terms.credential:
        statuses -= OF_CREDENTIALS - set(terms.errors)
    if not terms.limited:
        statuses = {500, *terms.errors}
    for status in sorted(statuses):
        responses[str(status)] = _problem(door, status)
    done = {**operation, "responses": responses, "tags": [f"{door.title}: {tag}" for tag in operation.get("tags", [])]}
    done["operationId"] = f"{door.name}.{operation['operationId']}"
    if terms.credential:
        done["security"] = [{name: []} for name in door.security.get(terms.credential, ("bearer",))]
    if terms.creates:
        done["parameters"] = [*operation.get("parameters", []), IDEMPOTENCY]
    done.pop("deprecated", None)
    return done


IDEMPOTENCY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "For 24 hours the same key and body get the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def _hot(door: Door, route: HotRoute, schemas: Json) -> Json:
    responses: dict[str, Json] = {}
    for status, record in ((route.status, route.gives), *route.others):
        answer = responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if record is not None:
            answer["content"] = {"application/json": {"schema": _schema(record, schemas)}}
    operation: Json = {
        "summary": route.summary,
        "operationId": route.run.__name__ if hasattr(route.run, "__name__") else route.path,
        "tags": [route.tag] if route.tag else [],
        "responses": responses,
    }
    if names := _PARAMETER.findall(route.path):
        schema = {"type": "integer", "minimum": 1}
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]
    if route.asked:
        operation["parameters"] = operation.get("parameters", []) + [
            {"name": name, "in": "query", "required": False, "description": said, "schema": {"type": "string"}}
            for name, said in route.asked.items()
        ]
    if route.takes is not None:
        content = {"application/json": {"schema": _schema(route.takes, schemas)}}
        content |= {media: {"schema": {"type": "string"}} for media in sorted(route.terms.media)}
        operation["requestBody"] = {"required": True, "content": content}
    return _completed(door, route.terms, operation)


def _schema(kind: Any, schemas: Json) -> Json:
    """Return the schema of a record, and put the records that it refers to under `schemas`."""
    (schema,), found = msgspec.json.schema_components((kind,), ref_template="#/components/schemas/{name}")
    schemas |= found
    return schema


def _problem(door: Door, status: int) -> Json:
    answer: Json = {"description": HTTPStatus(status).phrase}
    if door.problem is not None:
        reference = f"#/components/schemas/{door.problem.__name__}"
        answer["content"] = {"application/json": {"schema": {"$ref": reference}}}
    return answer


def _named(node: Any, prefix: str) -> Any:
    """Put the door's name before every reference."""
    if isinstance(node, dict):
        return {
            key: f"#/components/schemas/{prefix}.{value.rpartition('/')[2]}" if key == "$ref" else _named(value, prefix)
            for key, value in node.items()
        }
    return [_named(item, prefix) for item in node] if isinstance(node, list) else node


def _place(paths: dict[str, Json], path: str, operations: Json) -> None:
    """Add a path. One that differs from another only in its parameters' names is the same path to OpenAPI."""
    shape = _PARAMETER.sub("{}", path)
    twin = next((known for known in paths if known != path and _PARAMETER.sub("{}", known) == shape), None)
    if twin is None:
        paths.setdefault(path, {}).update(operations)
        return
    pairs = list(zip(_PARAMETER.findall(twin), _PARAMETER.findall(path), strict=True))
    names = [first if first == second else first.partition("_")[0] for first, second in pairs]
    renamed = iter(names)
    merged = _PARAMETER.sub(lambda _: "{" + next(renamed) + "}", path)
    both = {**_renamed(paths.pop(twin), dict(zip(_PARAMETER.findall(twin), names, strict=True)))}
    both |= _renamed(operations, dict(zip(_PARAMETER.findall(path), names, strict=True)))
    paths[merged] = both


def _renamed(operations: Json, names: Mapping[str, str]) -> Json:
    for operation in operations.values():
        for parameter in operation.get("parameters", []):
            new = names.get(parameter["name"])
            if parameter["in"] == "path" and new and new != parameter["name"]:
                parameter["description"] = f"The {parameter['name'].replace('_', ' ')}."
                parameter["name"] = new
    return operations
