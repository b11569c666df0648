"""Connectors: one action at a provider, with the credentials of the request."""

from typing import Any

import msgspec
from litestar import post
from litestar.params import FromPath, JSONBody

from headrace.core import connectors
from headrace.wire.door import Incoming, terms

TAGS = ["connectors"]


class Task(msgspec.Struct, kw_only=True):
    """`token` is short for `credentials.token`. What an action takes, the guide to connectors lists."""

    action: Any = None
    credentials: dict[str, Any] | None = None
    token: str | None = None
    params: dict[str, Any] | None = None


class Done(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`refreshed_token` and its seconds come along where the token that was sent had expired."""

    status: str
    connector: str
    result: dict[str, Any]
    refreshed_token: str | None = None
    expires_in: int | None = None


@post(
    "/api/v1/connect/{name:str}",
    opt=terms("A", ("connectors", "write"), body="levqor_body_limit", errors=(403,)),
    status_code=200,
    tags=TAGS,
    sync_to_thread=True,
)
def run(call: Incoming, name: FromPath[str], data: JSONBody[Task]) -> Done:
    """Carry out a connector's task."""
    credentials = data.credentials if data.token is None else {"token": data.token, **(data.credentials or {})}
    outcome = connectors.run(
        call.house, call.who, name=name, action=data.action, credentials=credentials, params=data.params
    )
    done = Done(status="ok", connector=name, result=outcome.result)
    if outcome.renewed is not None:
        done.refreshed_token, done.expires_in = outcome.renewed.token, outcome.renewed.expires_in
    return done


ROUTES = (run,)
