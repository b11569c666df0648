"""Definitions of workflows: what an organization has pushed, pulled or run by a function. Rules are core's."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody
from msgspec import Meta

from headrace.core import workflows
from headrace.core.workflows import Definition, Worker
from headrace.kit import times
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time

TAGS = ["workflows"]
READ, ADMIN = ("workflows", "read"), ("workflows", "admin")
PATH = "/api/v1/workflow-definitions"
# Of the path, counted from its first slash.
NAME = 4
DONE = 204

Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 128})]


class DefinitionFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`url` and `secret` are of a push. Without `secret` one is made, and shown in this one answer."""

    url: str | None = None
    secret: Annotated[str, Meta(extra_json_schema={"minLength": 8, "maxLength": 255})] | None = None
    timeout_seconds: int | None = None
    tries: Annotated[int, Meta(description="1-10, the first one included")] | None = None
    concurrency: Annotated[int, Meta(description="1-1000 jobs at once")] | None = None


class NewDefinition(DefinitionFields, kw_only=True, forbid_unknown_fields=True):
    name: Name
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["push", "queue", "function"]})]


class DefinitionChange(DefinitionFields, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays."""

    paused: bool | None = None


class Seen(msgspec.Struct):
    """A worker that pulled from the queue within the last week."""

    worker: str
    first_seen_at: Time
    seen_at: Time


class DefinitionOut(msgspec.Struct, kw_only=True):
    name: str
    kind: str
    url: str | None
    timeout_seconds: int
    tries: int
    concurrency: int
    paused: bool
    workers: Sequence[Seen]
    created_at: Time
    updated_at: Time


class DefinitionMade(DefinitionOut, kw_only=True):
    secret: Annotated[str, Meta(description="Of a push; shown this once")] | None


class DefinitionList(msgspec.Struct):
    workflow_definitions: Sequence[DefinitionOut]
    total: int


@get(PATH, opt=terms("A", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def list_all(call: Incoming) -> DefinitionList:
    """List the organization's definitions by name."""
    seen = workflows.list_workers(call.house, call.who)
    found = [out(one, seen) for one in workflows.list_all(call.house, call.who)]
    return DefinitionList(found, len(found))


@post(PATH, opt=terms("A", ADMIN, body="body_limit", errors=(403, 409)), tags=TAGS, sync_to_thread=True)
def create(call: Incoming, data: JSONBody[NewDefinition]) -> DefinitionMade:
    """Define a workflow."""
    made = workflows.define(call.house, call.who, **msgspec.structs.asdict(data))
    return DefinitionMade(**fields(made.definition, ()), secret=made.secret)


@get(PATH + "/{name:str}", opt=terms("A", READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming) -> DefinitionOut:
    """Return one definition, with who pulls from it."""
    found = workflows.get(call.house, call.who, name=call.part(NAME))
    return out(found, workflows.list_workers(call.house, call.who, queue=found.name))


@patch(
    PATH + "/{name:str}",
    opt=terms("A", ADMIN, body="body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def update(call: Incoming, data: JSONBody[DefinitionChange]) -> DefinitionOut:
    """Change a definition; jobs that wait follow the new limits."""
    changed = workflows.update(call.house, call.who, name=call.part(NAME), **msgspec.structs.asdict(data))
    return out(changed, workflows.list_workers(call.house, call.who, queue=changed.name))


@delete(
    PATH + "/{name:str}",
    opt=terms("A", ADMIN, errors=(403, 404, 409)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def remove(call: Incoming) -> None:
    """Remove a definition that no job waits for."""
    workflows.remove(call.house, call.who, name=call.part(NAME))


def out(one: Definition, seen: Sequence[Worker]) -> DefinitionOut:
    return DefinitionOut(**fields(one, seen))


def fields(one: Definition, seen: Sequence[Worker]) -> dict[str, Any]:
    plain = ("name", "kind", "url", "timeout_seconds", "tries", "concurrency")
    return {name: getattr(one, name) for name in plain} | {
        "paused": one.paused_at is not None,
        "workers": [
            Seen(worker.worker, times.show(worker.first_seen_at), times.show(worker.seen_at))
            for worker in seen
            if worker.queue == one.name and one.kind == "queue"
        ],
        "created_at": times.show(one.created_at),
        "updated_at": times.show(one.updated_at),
    }


ROUTES = (list_all, create, get_one, update, remove)
