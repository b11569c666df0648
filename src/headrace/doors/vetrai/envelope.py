"""How this door says no: `{"detail": text, "status_code": n}`, with `errors` for a field that breaks its schema."""

from http import HTTPStatus

import msgspec

from headrace.core.refusals import Kind, Refusal
from headrace.wire.call import Answer, Call, answer
from headrace.wire.statuses import STATUS as PLAIN

# A field that breaks its schema is unprocessable here, and a conflict a bad request.
STATUS = PLAIN | {
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.MALFORMED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.CONFLICT: HTTPStatus.BAD_REQUEST,
}
# Rules that a schema cannot see: they say so with a rule of one of these names, or an error word of their own.
RULES = frozenset({"full", "refused", "price"})


class FieldProblem(msgspec.Struct, frozen=True):
    loc: list[str]
    msg: str
    type: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error; `errors` only where a field breaks its schema."""

    detail: str
    status_code: int
    errors: list[FieldProblem] | None = None


def render(refusal: Refusal, call: Call) -> Answer:
    facts = refusal.facts
    status = STATUS[refusal.kind]
    if refusal.kind is Kind.INVALID and (facts.get("rule") in RULES or "code" in facts):
        return answer(400, Problem(refusal.text, 400))
    headers = ((b"www-authenticate", b"Bearer"),) if refusal.kind is Kind.UNAUTHENTICATED else ()
    if status is not HTTPStatus.UNPROCESSABLE_ENTITY:
        return answer(status, Problem(refusal.text, status), *headers)
    place = "body" if call.body or call.method in {"POST", "PUT", "PATCH"} else "query"
    field = str(facts.get("field", "body"))
    loc = [place] if field == place else [place, field]
    problem = FieldProblem(loc, str(facts.get("rule") or refusal.text), str(facts.get("type", "value")))
    return answer(status, Problem(refusal.text, status, [problem]))
