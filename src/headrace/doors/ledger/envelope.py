"""How this door says no: `{"detail": text}`, one status per kind of refusal."""

from http import HTTPStatus

import msgspec

from headrace.core.refusals import Kind, Refusal
from headrace.wire.call import Answer, Call, answer
from headrace.wire.headers import Header

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
CHALLENGE: Header = (b"www-authenticate", b"Bearer")


class Problem(msgspec.Struct, frozen=True):
    """The body of every error."""

    detail: str


def render(refusal: Refusal, call: Call) -> Answer:
    del call
    extra = (CHALLENGE,) if refusal.kind is Kind.UNAUTHENTICATED else ()
    return answer(STATUS[refusal.kind], Problem(refusal.text), *extra)
