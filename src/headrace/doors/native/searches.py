"""Saved searches: the state of a log list under a name. Rules are core's."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from headrace.core import rules, searches
from headrace.core.searches import SavedSearch
from headrace.eventstore import search
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time, timed

TAGS = ["saved searches"]
READ, WRITE = ("logs", "read"), ("logs", "write")
DONE = 204

ProjectId = Annotated[int, QueryParameter(ge=1, le=rules.LARGEST)]
Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 255})]


class SearchFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`period` ends now; `time_from` with `time_to` is a stretch that stays. Without either: the last hour."""

    name: Name
    query: Annotated[str, Meta(extra_json_schema={"maxLength": search.MAX_LENGTH})] = ""
    period: Annotated[str, Meta(extra_json_schema={"enum": list(searches.PERIODS)})] | None = None
    time_from: Time | None = None
    time_to: Time | None = None
    columns: list[str] = []
    view: Annotated[str, Meta(extra_json_schema={"enum": list(searches.VIEWS)})] = "events"
    is_shared: bool = False


class NewSearch(SearchFields, kw_only=True, forbid_unknown_fields=True):
    project_id: Annotated[int, Meta(ge=1, le=rules.LARGEST)]


class SearchOut(msgspec.Struct, kw_only=True):
    id: int
    project_id: int
    account_id: int | None
    name: str
    query: str
    period: str | None
    time_from: Time | None
    time_to: Time | None
    columns: Sequence[str]
    view: str
    is_shared: bool
    created_at: Time
    updated_at: Time


class SearchList(msgspec.Struct):
    saved_searches: Sequence[SearchOut]
    total: int


@get("/api/v1/saved-searches", opt=terms("A", READ, errors=(404,)), tags=TAGS, sync_to_thread=True)
def list_all(call: Incoming, project_id: ProjectId) -> SearchList:
    """List the saved searches of a project: the caller's own and the shared ones, by name."""
    found = [out(one) for one in searches.list_all(call.house, call.who, project_id=project_id)]
    return SearchList(found, len(found))


@post("/api/v1/saved-searches", opt=terms("A", WRITE, body="body_limit", errors=(404,)), tags=TAGS, sync_to_thread=True)
def create(call: Incoming, data: JSONBody[NewSearch]) -> SearchOut:
    """Save a search."""
    return out(searches.create(call.house, call.who, **msgspec.structs.asdict(data)))


@get("/api/v1/saved-searches/{id:str}", opt=terms("A", READ, errors=(404,)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, id: FromPath[str]) -> SearchOut:  # noqa: A002  The parameter's name.
    """Return one saved search."""
    return out(searches.get(call.house, call.who, search_id=rules.path_id(id, "id")))


@put(
    "/api/v1/saved-searches/{id:str}",
    opt=terms("A", WRITE, body="body_limit", errors=(404,)),
    tags=TAGS,
    sync_to_thread=True,
)
def update(call: Incoming, id: FromPath[str], data: JSONBody[SearchFields]) -> SearchOut:  # noqa: A002
    """Replace a saved search; what is left out gets its default."""
    fields: dict[str, Any] = msgspec.structs.asdict(data)
    return out(searches.update(call.house, call.who, search_id=rules.path_id(id, "id"), **fields))


@delete(
    "/api/v1/saved-searches/{id:str}",
    opt=terms("A", WRITE, errors=(404,)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def remove(call: Incoming, id: FromPath[str]) -> None:  # noqa: A002  The parameter's name.
    """Delete a saved search."""
    searches.delete(call.house, call.who, search_id=rules.path_id(id, "id"))


def out(one: SavedSearch) -> SearchOut:
    return SearchOut(**timed(one, "time_from", "time_to", "created_at", "updated_at"))


ROUTES = (list_all, create, get_one, update, remove)
