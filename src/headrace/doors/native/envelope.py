"""How this door says no: problem details (RFC 9457), with the field and the rule where a field broke one."""

from http import HTTPStatus

import msgspec

from headrace.core.refusals import Kind, Refusal
from headrace.wire.call import Answer, Call, answer

STATUS = {
    Kind.INVALID: HTTPStatus.BAD_REQUEST,
    Kind.MALFORMED: HTTPStatus.BAD_REQUEST,
    Kind.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Kind.MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Kind.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.QUOTA_SPENT: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.BUG: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error; `field` and `rule` only where one field of the request broke a rule."""

    title: str
    status: int
    detail: str
    field: str | None = None
    rule: str | None = None


def render(refusal: Refusal, call: Call) -> Answer:
    del call
    status = STATUS[refusal.kind]
    headers = ((b"www-authenticate", b"Bearer"),) if refusal.kind is Kind.UNAUTHENTICATED else ()
    facts = refusal.facts
    rule = facts.get("rule")
    problem = Problem(status.phrase, status, refusal.text, facts.get("field"), None if rule is None else str(rule))
    return answer(status, problem, *headers)
