"""Telegram: the Bot API (https://core.telegram.org/bots/api). The bot's token stands in the address of each request."""

from typing import Any
from urllib.parse import quote

import msgspec

from headrace.core.connectors.provider import Action, Json, Provider, Request, Take


def result(answer: Json) -> Json:
    inner = answer.get("result")
    return inner if isinstance(inner, dict) else {"result": inner}


def sent(answer: Json) -> Json:
    message = answer.get("result") or {}
    chat = message.get("chat") or {}
    return {"message_id": message.get("message_id"), "chat_id": chat.get("id"), "status": "sent"}


def me(answer: Json) -> Json:
    bot = answer.get("result") or {}
    return {name: bot.get(name) for name in ("id", "username", "first_name")}


def updates(answer: Json) -> Json:
    found = [{"update_id": one.get("update_id")} for one in answer.get("result") or []]
    return {"count": len(found), "updates": found}


def complaint(status: int, answer: Any) -> str | None:
    told = answer if isinstance(answer, dict) else {}
    return None if told.get("ok") else str(told.get("description") or f"status {status}")


def wait(answer: Any) -> float | None:
    seconds = (answer.get("parameters") or {}).get("retry_after") if isinstance(answer, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else None


def authorize(request: Request, token: str) -> Request:
    return msgspec.structs.replace(request, path=f"bot{quote(token, safe=':')}/{request.path}")


def _do(method: str, *needs: str, **takes: Take) -> Action:
    return Action(path=method, sends="form", needs=needs, takes=takes, shape=result)


CAPTION = {"caption": Take("caption"), "parse_mode": Take("parse_mode")}
ACTIONS = {
    "send_message": Action(
        path="sendMessage",
        sends="form",
        needs=("chat_id", "text"),
        takes={"parse_mode": Take("parse_mode"), "reply_markup": Take("reply_markup")},
        shape=sent,
    ),
    "send_photo": _do("sendPhoto", "chat_id", "photo", **CAPTION),
    "send_document": _do("sendDocument", "chat_id", "document", **CAPTION),
    "send_video": _do("sendVideo", "chat_id", "video", **CAPTION),
    "send_audio": _do("sendAudio", "chat_id", "audio", **CAPTION),
    "send_location": _do("sendLocation", "chat_id", "latitude", "longitude"),
    "send_media_group": _do("sendMediaGroup", "chat_id", "media"),
    "edit_message_text": _do("editMessageText", "chat_id", "message_id", "text", parse_mode=Take("parse_mode")),
    "delete_message": _do("deleteMessage", "chat_id", "message_id"),
    "pin_message": _do("pinChatMessage", "chat_id", "message_id"),
    "unpin_message": _do("unpinChatMessage", "chat_id", message_id=Take("message_id")),
    "get_me": Action(path="getMe", sends="form", shape=me),
    "get_updates": Action(
        path="getUpdates",
        sends="form",
        takes={"limit": Take("limit", 10, 1, 100), "offset": Take("offset")},
        shape=updates,
    ),
    "get_chat": _do("getChat", "chat_id"),
    "get_chat_administrators": _do("getChatAdministrators", "chat_id"),
    "get_chat_member": _do("getChatMember", "chat_id", "user_id"),
    "leave_chat": _do("leaveChat", "chat_id"),
    "get_file": _do("getFile", "file_id"),
    "answer_callback_query": _do("answerCallbackQuery", "callback_query_id", text=Take("text")),
    "set_webhook": _do("setWebhook", "url", secret_token=Take("secret_token")),
    "delete_webhook": _do("deleteWebhook", drop_pending_updates=Take("drop_pending_updates")),
}
TELEGRAM = Provider(
    name="telegram",
    url="connector_telegram_url",
    credential="token required (Telegram bot token)",
    actions=ACTIONS,
    complaint=complaint,
    authorize=authorize,
    wait=wait,
)
