"""Connectors: one action at Gmail, Notion, Slack or Telegram with the credentials of this one call.

They are not kept, logged or repeated; base addresses are the operator's settings.
"""

from typing import Any

import msgspec

from headrace.core import audit, rules
from headrace.core.connectors import provider as grammar
from headrace.core.connectors.calling import Line, Lines, Renewed
from headrace.core.connectors.gmail import GMAIL
from headrace.core.connectors.notion import NOTION
from headrace.core.connectors.provider import Json, Provider, bad
from headrace.core.connectors.slack import SLACK
from headrace.core.connectors.telegram import TELEGRAM
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal

__all__ = ["PROVIDERS", "Outcome", "run"]

PROVIDERS: dict[str, Provider] = {one.name: one for one in (GMAIL, NOTION, SLACK, TELEGRAM)}
RAW = "raw"
LONGEST_SECRET = 8_192


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `renewed` is the new token, where the one that was sent had expired."""

    result: Json
    renewed: Renewed | None = None


def run(house: House, who: Principal, *, name: str, action: Any, credentials: Any, params: Any) -> Outcome:
    """Carry out one action. What the provider refuses is an invalid request with the fact `code`."""
    rules.require(who, "connectors", "write")
    provider = PROVIDERS.get(name)
    if provider is None:
        raise Refusal(Kind.INVALID, "unknown connector", code="invalid_connector", valid=sorted(PROVIDERS))
    if not isinstance(action, str) or not action:
        raise bad("action required")
    if action != RAW and action not in provider.actions:
        raise bad(f"unknown action: {action[:100]}")
    given = _credentials(provider, credentials)
    if not isinstance(params, dict | None):
        raise bad("params must be an object")
    line = Line(house, provider, given)
    try:
        with house.part(Lines).one():
            result = _carried_out(line, provider, action, params or {})
    except Refusal as refusal:
        if refusal.facts.get("code"):
            _record(house, who, name, action, "failure")
        raise
    _record(house, who, name, action, "success")
    return Outcome(result=result, renewed=line.renewed)


def _carried_out(line: Line, provider: Provider, name: str, params: Json) -> Json:
    if name == RAW:
        return line.send(grammar.raw(params))
    action = provider.actions[name]
    action.complete(params)
    if action.steps is not None:
        return action.steps(params, line.send, line.upload)
    answer = line.send(action.request(params))
    return answer if action.shape is None else action.shape(answer)


def _credentials(provider: Provider, given: Any) -> Json:
    """The credentials of this call; its token must be able to stand in a header."""
    token = given.get("token") if isinstance(given, dict) else None
    if not isinstance(token, str) or not token.strip():
        raise bad(provider.credential)
    token = token.strip()
    if len(token) > LONGEST_SECRET or not token.isascii() or not token.isprintable():
        raise bad(provider.credential)
    return {**given, "token": token}


def _record(house: House, who: Principal, name: str, action: str, outcome: str) -> None:
    with house.db.write() as connection:
        audit.record(connection, house, who, "connector:action:run", target=f"{name}:{action}", outcome=outcome)
