"""Gmail: the API of one mailbox (https://developers.google.com/workspace/gmail/api/reference/rest). A token that has
expired is renewed once, when the credentials say how.
"""

import base64
from collections.abc import Iterable
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import msgspec

from headrace.core.connectors.provider import (
    Action,
    Json,
    Provider,
    Renewal,
    Request,
    Send,
    Take,
    Upload,
    bad,
    bearer,
    segment,
)

LIMITED = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
PAGED = {"max_results": Take("maxResults", 10, 1, 500), "page_token": Take("pageToken")}
FOUND = {"query": Take("q"), "q": Take("q"), "label_ids": Take("labelIds"), **PAGED}
RENEWED_BY = ("refresh_token", "client_id", "client_secret")


def names(answer: Json) -> Json:
    return {"labels": [one.get("name") for one in answer.get("labels", [])]}


def messages(answer: Json) -> Json:
    listed = answer.get("messages", [])
    return {"count": len(listed), "messages": listed}


def sent(answer: Json) -> Json:
    return {"message_id": answer.get("id"), "status": "sent"}


def mail(params: Json) -> str:
    """Return the message as Gmail takes it: RFC 5322, base64 in the alphabet of addresses."""
    made = EmailMessage(policy=SMTP)
    for name in ("to", "cc", "bcc", "subject", "in_reply_to", "references"):
        if params.get(name):
            _header(made, name, params[name])
    body, page = params.get("body", params.get("text")) or "", params.get("html")
    if not isinstance(body, str) or not isinstance(page, str | None):
        raise bad("body must be a text")
    made.set_content(body)
    if page:
        made.add_alternative(page, subtype="html")
    for one in _attachments(params.get("attachments")):
        made.add_attachment(one[1], maintype="application", subtype="octet-stream", filename=one[0])
    return base64.urlsafe_b64encode(made.as_bytes()).decode()


def _header(made: EmailMessage, name: str, value: Any) -> None:
    text = ", ".join(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value
    line = _line(name, text)
    try:
        made[name.replace("_", "-").title()] = line
    except (AttributeError, LookupError, NameError, TypeError, ValueError):
        # The library's reader of addresses stumbles in these ways over what breaks off (`ada@`, `<`).
        raise bad(f"{name} must hold whole addresses") from None


def _line(name: str, text: Any) -> str:
    """A text that stays one line in a header: separators of lines and paragraphs beyond ASCII end one too."""
    if not isinstance(text, str) or any(letter < " " for letter in text) or text.splitlines() not in ([], [text]):
        raise bad(f"{name} must be a text of one line")
    return text


def _attachments(given: Any) -> Iterable[tuple[str, bytes]]:
    wrong = bad("attachments must be a list of {filename, content in base64}")
    if not isinstance(given, list | None):
        raise wrong
    for one in given or []:
        try:
            filename, content = one["filename"], base64.b64decode(one["content"], validate=True)
        except (TypeError, KeyError, ValueError):
            raise wrong from None
        yield _line("filename of attachments", filename), content


def outgoing(params: Json) -> Json:
    thread = {"threadId": params["thread_id"]} if params.get("thread_id") else {}
    return {"raw": mail(params)} | thread


def draft(params: Json) -> Json:
    return {"message": outgoing(params)}


def reply(params: Json, send: Send, _upload: Upload) -> Json:
    """Answer a message in its thread: to whom, about what and in reply to what, its own headers say."""
    wanted = {"format": "metadata", "metadataHeaders": ["From", "Subject", "Message-ID", "References"]}
    path = f"messages/{segment('message_id', params['message_id'])}"
    first = send(Request(method="GET", path=path, query=wanted))
    told = {one.get("name", "").lower(): one.get("value") for one in first.get("payload", {}).get("headers", [])}
    subject = told.get("subject") or ""
    message = {
        "to": params.get("to") or told.get("from"),
        "subject": subject if subject.lower().startswith("re:") else f"Re: {subject}",
        "in_reply_to": told.get("message-id"),
        "references": " ".join(one for one in (told.get("references"), told.get("message-id")) if one),
        "body": params["body"],
        "thread_id": first.get("threadId"),
    }
    return sent(send(Request(method="POST", path="messages/send", body=outgoing(message))))


def complaint(status: int, answer: Any) -> str | None:
    if status < 300:  # noqa: PLR2004
        return None
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, str):
        return str(answer.get("error_description") or error)
    return str((error or {}).get("message") or f"status {status}")


def busy(status: int, answer: Any) -> bool:
    """Gmail tells limits of a minute as 403 too."""
    error = answer.get("error") if isinstance(answer, dict) else None
    errors = error.get("errors") or [] if isinstance(error, dict) else []
    limited = status == 403 and any(one.get("reason") in LIMITED for one in errors)  # noqa: PLR2004
    return limited or status == 429 or status >= 500  # noqa: PLR2004


def authorize(request: Request, token: str) -> Request:
    """Ask for JSON too, as the official client does."""
    return bearer(msgspec.structs.replace(request, query={"alt": "json", **request.query}), token)


def renewal(credentials: Json) -> Json | None:
    found = {name: credentials[name] for name in RENEWED_BY if isinstance(credentials.get(name), str)}
    return {"grant_type": "refresh_token", **found} if len(found) == len(RENEWED_BY) else None


def _at(method: str, path: str, *needs: str, **more: Any) -> Action:
    return Action(method=method, path=path, needs=needs, **more)


def _write(path: str, *needs: str, **more: Any) -> Action:
    return Action(path=path, sends="json", needs=needs, **more)


def _marked(path: str, **body: Any) -> Action:
    return _write(path, "message_id", build=lambda _: body)


MESSAGE = "messages/{message_id}"
LABELS = {"add_label_ids": Take("addLabelIds"), "remove_label_ids": Take("removeLabelIds")}
LETTER = ("to", "subject")
ACTIONS: dict[str, Action] = {
    "list_labels": _at("GET", "labels", shape=names),
    "create_label": _write("labels", "name"),
    "delete_label": _at("DELETE", "labels/{label_id}", "label_id"),
    "list_messages": _at("GET", "messages", takes=FOUND, shape=messages),
    "get_message": _at("GET", MESSAGE, "message_id", takes={"format": Take("format")}),
    "get_attachment": _at("GET", f"{MESSAGE}/attachments/{{attachment_id}}", "message_id", "attachment_id"),
    "send_email": _write("messages/send", *LETTER, build=outgoing, shape=sent),
    "send_message": _write("messages/send", *LETTER, build=outgoing, shape=sent),
    "reply": Action(needs=("message_id", "body"), steps=reply),
    "modify_labels": _write(f"{MESSAGE}/modify", "message_id", takes=LABELS),
    "mark_read": _marked(f"{MESSAGE}/modify", removeLabelIds=["UNREAD"]),
    "mark_unread": _marked(f"{MESSAGE}/modify", addLabelIds=["UNREAD"]),
    "trash": _at("POST", f"{MESSAGE}/trash", "message_id"),
    "untrash": _at("POST", f"{MESSAGE}/untrash", "message_id"),
    "delete": _at("DELETE", MESSAGE, "message_id"),
    "list_threads": _at("GET", "threads", takes=FOUND),
    "get_thread": _at("GET", "threads/{thread_id}", "thread_id"),
    "list_drafts": _at("GET", "drafts", takes=PAGED),
    "create_draft": _write("drafts", *LETTER, build=draft),
    "send_draft": _write("drafts/send", "draft_id", build=lambda params: {"id": params["draft_id"]}, shape=sent),
    "delete_draft": _at("DELETE", "drafts/{draft_id}", "draft_id"),
    "get_profile": _at("GET", "profile"),
}
GMAIL = Provider(
    name="gmail",
    url="connector_gmail_url",
    credential="credentials required (OAuth2 token)",
    actions=ACTIONS,
    complaint=complaint,
    authorize=authorize,
    busy=busy,
    renewal=Renewal("connector_google_token_url", renewal),
)
