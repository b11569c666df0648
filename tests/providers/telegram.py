"""The Bot API as a connector or python-telegram-bot meets it: one bot, one chat."""

from tests.providers.fake import Fake, Said, Seen

TOKEN = "123456:AAE-telegram_token"
CHAT = 4242
ME = {"id": 123456, "is_bot": True, "first_name": "Head", "username": "headrace_bot"}
UPDATES = [{"update_id": 700 + number} for number in range(3)]


def error(code: int, description: str, **more: object) -> Said:
    return Said(code, {"ok": False, "error_code": code, "description": description, **more})


def answer(fake: Fake, seen: Seen) -> Said:
    if not seen.path.startswith(f"/bot{TOKEN}/"):
        return error(401, "Unauthorized")
    given = seen.fields if isinstance(seen.fields, dict) else {}
    if "chat_id" in given and given["chat_id"] != str(CHAT):
        return error(400, "Bad Request: chat not found")
    match seen.path.rpartition("/")[2]:
        case "getMe":
            return Said(200, {"ok": True, "result": ME})
        case "sendMessage" | "sendPhoto" | "editMessageText":
            message = {"message_id": 9, "date": 1700000000, "chat": {"id": CHAT, "type": "private", "first_name": "A"}}
            return Said(200, {"ok": True, "result": {**message, "text": given.get("text", "")}})
        case "getUpdates":
            return Said(200, {"ok": True, "result": UPDATES[: int(given.get("limit", 100))]})
        case "deleteMessage":
            return Said(200, {"ok": True, "result": True})
        case _:
            return error(404, "Not Found")
