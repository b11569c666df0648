"""How this door says no: `{"detail": text}`, one status per kind of refusal."""

import msgspec

from headrace.core.refusals import Kind, Refusal
from headrace.wire.call import Answer, Call, answer
from headrace.wire.headers import Header
from headrace.wire.statuses import STATUS

CHALLENGE: Header = (b"www-authenticate", b"Bearer")


class Problem(msgspec.Struct, frozen=True):
    """The body of every error."""

    detail: str


def render(refusal: Refusal, call: Call) -> Answer:
    del call
    extra = (CHALLENGE,) if refusal.kind is Kind.UNAUTHENTICATED else ()
    return answer(STATUS[refusal.kind], Problem(refusal.text), *extra)
