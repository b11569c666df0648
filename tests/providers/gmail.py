"""Gmail as a connector or Google's own client meets it: a mailbox, and the address that renews tokens."""

from tests.providers.fake import Fake, Said, Seen

TOKEN, EXPIRED, RENEWED = "ya29.good-token", "ya29.expired-token", "ya29.renewed-token"
BASE, TOKENS = "/gmail/v1/users/me/", "/token"
LABELS = [{"id": name, "name": name, "type": "system"} for name in ("INBOX", "SENT", "DRAFTS")]
MESSAGES = [{"id": "18c1", "threadId": "18c0"}, {"id": "18c2", "threadId": "18c0"}]


def error(status: int, message: str, reason: str) -> Said:
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return Said(status, {"error": {"code": status, "message": message, "errors": errors}})


def answer(fake: Fake, seen: Seen) -> Said:  # noqa: C901  A table of answers.
    if seen.path == TOKENS:
        if seen.fields.get("refresh_token") != "1//refresh":
            return Said(400, {"error": "invalid_grant", "error_description": "Bad Request: 1//wrong"})
        return Said(200, {"access_token": RENEWED, "expires_in": 3599, "token_type": "Bearer"})
    if seen.headers.get("authorization") not in {f"Bearer {TOKEN}", f"Bearer {RENEWED}"}:
        return error(401, "Request had invalid authentication credentials.", "authError")
    match seen.method, seen.path.removeprefix(BASE).replace("/gmail/v1/users/me/", ""):
        case "GET", "labels":
            return Said(200, {"labels": LABELS})
        case "GET", "messages":
            most = int(seen.query.get("maxResults", ["100"])[0])
            return Said(200, {"messages": MESSAGES[:most], "resultSizeEstimate": len(MESSAGES)})
        case "GET", "messages/18c1":
            headers = {"From": "Bob <bob@example.com>", "Subject": "Lunch", "Message-ID": "<a@example.com>"}
            listed = [{"name": name, "value": value} for name, value in headers.items()]
            return Said(200, {"id": "18c1", "threadId": "18c0", "payload": {"headers": listed}})
        case "POST", "messages/send" | "drafts/send":
            return Said(200, {"id": "18c9", "threadId": "18c9", "labelIds": ["SENT"]})
        case "POST", "messages/18c1/modify" | "messages/18c1/trash":
            return Said(200, {"id": "18c1", "threadId": "18c0", "labelIds": ["INBOX"]})
        case "DELETE", "messages/18c1":
            return Said(204, b"")
        case "GET", "profile":
            return Said(200, {"emailAddress": "ada@example.com", "messagesTotal": 2})
        case _:
            return error(404, "Requested entity was not found.", "notFound")
