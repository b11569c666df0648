"""How this door says no: problem details (RFC 9457), with the field and the rule where a field broke one."""

import msgspec

from headrace.core.refusals import Kind, Refusal
from headrace.wire.call import Answer, Call, answer
from headrace.wire.statuses import STATUS


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
