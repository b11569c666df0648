"""Notion: the public API (https://developers.notion.com/reference) in the version of 2022, in which databases are
queried themselves; the actions on data sources speak the version of 2025.
"""

from typing import Any

import msgspec

from headrace.core.connectors.provider import Action, Json, Provider, Request, Take, bearer

VERSION, DATA_SOURCES = "2022-06-28", "2025-09-03"
SIZE = Take("page_size", None, 1, 100)
CURSOR = Take("start_cursor")
PAGED = {"page_size": SIZE, "start_cursor": CURSOR}
FIRST = {"page_size": Take("page_size", 10, 1, 100), "start_cursor": CURSOR}
FILTERED = {"filter": Take("filter"), "sorts": Take("sorts")}
PAGE = {name: Take(name) for name in ("properties", "icon", "cover", "archived")}
DATABASE = {name: Take(name) for name in ("title", "description", "properties", "icon", "cover", "is_inline")}
BLOCK_KINDS = (
    "paragraph",
    "heading_1",
    "heading_2",
    "heading_3",
    "bulleted_list_item",
    "numbered_list_item",
    "to_do",
    "toggle",
    "code",
    "quote",
    "callout",
    "archived",
)


def found(answer: Json) -> Json:
    results = answer.get("results", [])
    return {"count": len(results), "pages": results}


def queried(answer: Json) -> Json:
    results = answer.get("results", [])
    return {"count": len(results), "has_more": bool(answer.get("has_more")), "results": results}


def created(answer: Json) -> Json:
    return {"page_id": answer.get("id"), "status": "created"}


def page(params: Json) -> Json:
    made = {"parent": {"database_id": params["database_id"]}, "properties": params["properties"]}
    return made | ({"children": params["children"]} if params.get("children") else {})


def complaint(status: int, answer: Any) -> str | None:
    if status < 300 and isinstance(answer, dict):  # noqa: PLR2004
        return None
    told = answer if isinstance(answer, dict) else {}
    return ": ".join(str(told[name]) for name in ("code", "message") if told.get(name)) or f"status {status}"


def authorize(request: Request, token: str) -> Request:
    headers = {"Notion-Version": VERSION, **request.headers}
    return bearer(msgspec.structs.replace(request, headers=headers), token)


def _at(method: str, path: str, *needs: str, **takes: Take) -> Action:
    sends = "query" if method in {"GET", "DELETE"} else "json"
    return Action(method=method, path=path, needs=needs, takes=takes, sends=sends)  # type: ignore[arg-type]


SOURCES = {"Notion-Version": DATA_SOURCES}
ACTIONS = {
    "search": Action(
        path="search",
        sends="json",
        takes={"query": Take("query"), "filter": Take("filter"), "sort": Take("sort"), **PAGED},
        shape=found,
    ),
    "query_database": Action(
        path="databases/{database_id}/query",
        sends="json",
        needs=("database_id",),
        takes=FIRST | FILTERED,
        shape=queried,
    ),
    "create_page": Action(path="pages", sends="json", needs=("database_id", "properties"), build=page, shape=created),
    "create_database": _at("POST", "databases", "parent", "title", "properties", is_inline=Take("is_inline")),
    "update_database": _at("PATCH", "databases/{database_id}", "database_id", **DATABASE),
    "get_data_source": Action(
        method="GET", path="data_sources/{data_source_id}", needs=("data_source_id",), headers=SOURCES
    ),
    "query_data_source": Action(
        path="data_sources/{data_source_id}/query",
        sends="json",
        needs=("data_source_id",),
        takes=FIRST | FILTERED,
        shape=queried,
        headers=SOURCES,
    ),
    "get_page": _at("GET", "pages/{page_id}", "page_id"),
    "update_page": _at("PATCH", "pages/{page_id}", "page_id", **PAGE),
    "archive_page": Action(
        method="PATCH", path="pages/{page_id}", sends="json", needs=("page_id",), fixed={"archived": True}
    ),
    "get_block_children": _at("GET", "blocks/{block_id}/children", "block_id", **PAGED),
    "append_block_children": _at("PATCH", "blocks/{block_id}/children", "block_id", "children", after=Take("after")),
    "update_block": _at("PATCH", "blocks/{block_id}", "block_id", **{name: Take(name) for name in BLOCK_KINDS}),
    "delete_block": _at("DELETE", "blocks/{block_id}", "block_id"),
    "list_users": _at("GET", "users", **PAGED),
    "get_user": _at("GET", "users/{user_id}", "user_id"),
    "me": _at("GET", "users/me"),
    "create_comment": _at("POST", "comments", "parent", "rich_text"),
    "list_comments": _at("GET", "comments", "block_id", **PAGED),
}
NOTION = Provider(
    name="notion",
    url="connector_notion_url",
    credential="token required (Notion integration token)",
    actions=ACTIONS,
    complaint=complaint,
    authorize=authorize,
)
