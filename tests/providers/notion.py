"""Notion as a connector or the notion-client meets it: one database with pages, one data source."""

from tests.providers.fake import Fake, Said, Seen

TOKEN = "secret_notion_token"
DATABASE, SOURCE = "d9824bdc84454327be8b5b47500af6ce", "164b19c58de348aa8ea1e0f0ed5f2d2c"
PAGES = [{"object": "page", "id": f"59833787-2cf9-4fdf-8782-e53db20768a{number}"} for number in range(3)]


def error(status: int, code: str, message: str) -> Said:
    return Said(status, {"object": "error", "status": status, "code": code, "message": message})


def answer(fake: Fake, seen: Seen) -> Said:
    if seen.headers.get("authorization") != f"Bearer {TOKEN}":
        return error(401, "unauthorized", "API token is invalid.")
    version = seen.headers.get("notion-version")
    match seen.method, seen.path.removeprefix("/v1/"):
        case "POST", "search":
            return Said(200, {"object": "list", "results": PAGES, "has_more": False, "next_cursor": None})
        case "POST", path if path == f"databases/{DATABASE}/query" and version == "2022-06-28":
            most = seen.fields.get("page_size", 100)
            return Said(200, {"object": "list", "results": PAGES[:most], "has_more": most < len(PAGES)})
        case "POST", path if path == f"data_sources/{SOURCE}/query" and version == "2025-09-03":
            return Said(200, {"object": "list", "results": PAGES, "has_more": False})
        case "POST", "pages":
            return Said(200, {"object": "page", "id": PAGES[0]["id"], **seen.fields})
        case "PATCH", path if path.startswith("pages/"):
            return Said(200, {"object": "page", "id": path.partition("/")[2], **seen.fields})
        case "GET", "users/me":
            return Said(200, {"object": "user", "id": "u1", "type": "bot"})
        case _:
            return error(404, "object_not_found", "Could not find it. Share it with your integration.")
