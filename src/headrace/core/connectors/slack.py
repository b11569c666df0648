"""Slack: the Web API's methods (https://docs.slack.dev/reference/methods). Errors come with status 200, `ok` false."""

from typing import Any

from headrace.core.connectors.provider import Action, Json, Provider, Request, Send, Take, Upload, bad, bearer

LIMIT = Take("limit", 100, 1, 1_000)
CURSOR = Take("cursor")


def plain(answer: Json) -> Json:
    return {name: value for name, value in answer.items() if name not in {"ok", "response_metadata"}}


def posted(answer: Json) -> Json:
    return {"message_ts": answer.get("ts"), "channel": answer.get("channel"), "status": "sent"}


def channels(answer: Json) -> Json:
    found = [{"id": one.get("id"), "name": one.get("name")} for one in answer.get("channels", [])]
    return {"count": len(found), "channels": found}


def invited(params: Json) -> Json:
    """Slack wants its lists as text with commas."""
    users = params["users"]
    listed = isinstance(users, list) and all(isinstance(one, str) for one in users)
    return {"channel": params["channel"], "users": ",".join(users) if listed else users}


def upload(params: Json, send: Send, put: Upload) -> Json:
    """Ask for an address, send the content there, say where the file belongs."""
    name, content = params.get("filename") or "file.txt", params["content"]
    if not isinstance(content, str) or not isinstance(name, str):
        raise bad("content and filename must be texts")
    whole = content.encode()
    where = {"filename": name, "length": len(whole)}
    granted = send(Request(method="POST", path="files.getUploadURLExternal", form=where))
    put(str(granted.get("upload_url", "")), whole)
    done = {"files": [{"id": granted.get("file_id"), "title": name}], "channel_id": params["channel"]}
    send(Request(method="POST", path="files.completeUploadExternal", form=done))
    return {"file_id": granted.get("file_id"), "status": "uploaded"}


def complaint(status: int, answer: Any) -> str | None:
    error = answer.get("error") if isinstance(answer, dict) else None
    if status == 200 and isinstance(answer, dict) and answer.get("ok"):  # noqa: PLR2004
        return None
    return str(error or f"status {status}")


def _message(method: str, *needs: str, **takes: Take) -> Action:
    return Action(path=method, sends="json", needs=needs, takes=takes, shape=plain)


def _form(method: str, *needs: str, **takes: Take) -> Action:
    return Action(path=method, sends="form", needs=needs, takes=takes, shape=plain)


TEXT = {"blocks": Take("blocks"), "thread_ts": Take("thread_ts")}
ACTIONS = {
    "post_message": Action(path="chat.postMessage", sends="json", needs=("channel", "text"), takes=TEXT, shape=posted),
    "update_message": _message("chat.update", "channel", "ts", "text", blocks=Take("blocks")),
    "delete_message": _form("chat.delete", "channel", "ts"),
    "schedule_message": _message("chat.scheduleMessage", "channel", "post_at", "text", **TEXT),
    "get_permalink": _form("chat.getPermalink", "channel", "message_ts"),
    "list_channels": Action(
        path="conversations.list",
        sends="form",
        takes={"limit": LIMIT, "cursor": CURSOR, "types": Take("types")},
        shape=channels,
    ),
    "get_channel": _form("conversations.info", "channel"),
    "create_channel": _form("conversations.create", "name", is_private=Take("is_private")),
    "archive_channel": _form("conversations.archive", "channel"),
    "join_channel": _form("conversations.join", "channel"),
    "invite": Action(path="conversations.invite", sends="form", needs=("channel", "users"), build=invited, shape=plain),
    "channel_history": _form("conversations.history", "channel", limit=LIMIT, cursor=CURSOR),
    "thread_replies": _form("conversations.replies", "channel", "ts", limit=LIMIT, cursor=CURSOR),
    "list_users": _form("users.list", limit=LIMIT, cursor=CURSOR),
    "get_user": _form("users.info", "user"),
    "lookup_by_email": _form("users.lookupByEmail", "email"),
    "add_reaction": _form("reactions.add", "channel", "name", "timestamp"),
    "remove_reaction": _form("reactions.remove", "name", channel=Take("channel"), timestamp=Take("timestamp")),
    "upload_file": Action(needs=("channel", "content"), steps=upload),
    "search_messages": _form("search.messages", "query", count=Take("count", None, 1, 100), page=Take("page")),
    "auth_test": _form("auth.test"),
}
SLACK = Provider(
    name="slack",
    url="connector_slack_url",
    credential="token required (Slack bot token)",
    actions=ACTIONS,
    complaint=complaint,
    authorize=bearer,
)
