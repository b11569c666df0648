"""How this door says no: `{"error": CODE, "message": text}`, with `detail` where input is not valid."""

from http import HTTPStatus

import msgspec

from headrace.core.refusals import Kind, Refusal, conflict
from headrace.wire.call import Answer, Call, answer
from headrace.wire.headers import Header

ANSWERS = {
    Kind.INVALID: (HTTPStatus.UNPROCESSABLE_ENTITY, "VALIDATION_ERROR"),
    Kind.MALFORMED: (HTTPStatus.UNPROCESSABLE_ENTITY, "VALIDATION_ERROR"),
    Kind.UNAUTHENTICATED: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    Kind.FORBIDDEN: (HTTPStatus.FORBIDDEN, "ERROR"),
    Kind.NOT_FOUND: (HTTPStatus.NOT_FOUND, "ERROR"),
    Kind.METHOD: (HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
    Kind.CONFLICT: (HTTPStatus.CONFLICT, "CONFLICT"),
    Kind.TOO_LARGE: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
    Kind.MEDIA_TYPE: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
    Kind.RATE_LIMITED: (HTTPStatus.TOO_MANY_REQUESTS, "RATE_LIMITED"),
    Kind.QUOTA_SPENT: (HTTPStatus.TOO_MANY_REQUESTS, "RATE_LIMITED"),
    Kind.UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    Kind.BUG: (HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
}
CHALLENGE: Header = (b"www-authenticate", b"Bearer")
HEADERS = frozenset({"X-INGEST-KEY", "Idempotency-Key", "Content-Encoding", "Content-Type"})
IN_PATH = frozenset({"app_id", "name"})
# The one conflict of a request with itself; it is answered with a status of its own.
ORDER = "order"


class FieldProblem(msgspec.Struct, frozen=True):
    loc: list[str]
    msg: str
    type: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error; `detail` only where input is not valid."""

    error: str
    message: str
    detail: list[FieldProblem] | None = None


def wrong_order() -> Refusal:
    refusal = conflict("since must be earlier than until")
    return Refusal(refusal.kind, refusal.text, rule=ORDER)


def render(refusal: Refusal, call: Call) -> Answer:
    status, code = ANSWERS[refusal.kind]
    if status is HTTPStatus.UNPROCESSABLE_ENTITY:
        return answer(status, Problem(code, refusal.text, [problem(refusal, call)]))
    if refusal.facts.get("rule") == ORDER:
        status = HTTPStatus.BAD_REQUEST
    headers = (CHALLENGE,) if refusal.kind is Kind.UNAUTHENTICATED else ()
    return answer(status, Problem(code, refusal.text), *headers)


def problem(refusal: Refusal, call: Call) -> FieldProblem:
    facts = refusal.facts
    field = str(facts.get("field", "body"))
    rule = str(facts.get("rule") or refusal.text)
    kind = "enum" if rule.startswith("must be one of") else str(facts.get("type", "value"))
    return FieldProblem(place(field, call), rule, kind)


def place(field: str, call: Call) -> list[str]:
    """Say where a field was looked for: body, path, query or header."""
    if field == "body":
        return ["body"]
    if field in HEADERS:
        return ["header", field]
    if field in IN_PATH:
        return ["path", field]
    return ["body" if call.method == "POST" else "query", field]
