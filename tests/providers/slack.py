"""Slack as a connector or the slack-sdk meets it: two channels, messages, the two-step upload of files."""

from tests.providers.fake import Fake, Said, Seen

TOKEN = "xoxb-slack-token"
CHANNELS = [
    {"id": "C0001", "name": "general", "is_channel": True, "is_archived": False},
    {"id": "C0002", "name": "random", "is_channel": True, "is_archived": False},
]
UPLOAD = "/upload/v1/CwABAAAAWgoAAZnBg"


def error(word: str) -> Said:
    return Said(200, {"ok": False, "error": word})


def answer(fake: Fake, seen: Seen) -> Said:  # noqa: C901  A table of answers.
    if seen.path == UPLOAD:
        return Said(200, b"OK - 5", {"Content-Type": "text/plain"})
    if seen.headers.get("authorization") != f"Bearer {TOKEN}":
        return error("invalid_auth")
    given = seen.fields if isinstance(seen.fields, dict) else {name: one[-1] for name, one in seen.query.items()}
    channel = given.get("channel", given.get("channel_id"))
    if channel is not None and channel not in {one["id"] for one in CHANNELS}:
        return error("channel_not_found")
    match seen.path.removeprefix("/api/"):
        case "chat.postMessage" | "chat.update":
            return Said(200, {"ok": True, "channel": channel, "ts": "1503435956.000247", "message": given})
        case "conversations.list":
            return Said(200, {"ok": True, "channels": CHANNELS[: int(given["limit"])]})
        case "conversations.history":
            return Said(200, {"ok": True, "messages": [{"type": "message", "text": "Hi", "ts": "1.2"}]})
        case "files.getUploadURLExternal":
            return Said(200, {"ok": True, "upload_url": fake.url + UPLOAD, "file_id": "F0001"})
        case "files.completeUploadExternal":
            return Said(200, {"ok": True, "files": [{"id": "F0001", "title": "file.txt"}]})
        case "reactions.add" | "chat.delete":
            return Said(200, {"ok": True})
        case "auth.test":
            return Said(200, {"ok": True, "team": "T", "user": "bot"})
        case _:
            return error("unknown_method")
