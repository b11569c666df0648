"""Users: records of people, made or changed by e-mail address, looked up, changed by id."""

from typing import Annotated

from litestar import get, patch
from litestar.params import FromPath, JSONBody, QueryParameter

from headrace.core import people
from headrace.core.people import Person
from headrace.core.refusals import Kind, Refusal, invalid
from headrace.doors.levqor import shapes
from headrace.wire import jsons
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Incoming, Terms, terms
from headrace.wire.repeats import once

TAGS = ["users"]
READ, WRITE = ("people", "read"), ("people", "write")
# A word where ids stand; it is nobody's.
UPSERT = "/api/v1/users/upsert"
Email = Annotated[str, QueryParameter(description="Trimmed, and lower-cased, before it is looked for.")]


async def upsert(call: Call) -> Answer:
    """Make or change a person."""
    return await once(call, UPSERT, lambda: put(call))


def put(call: Call) -> Answer:
    sent = jsons.decode(call.body, shapes.NewUser)
    person, is_new = people.upsert(
        call.house,
        call.who,
        email=sent.email,
        name=sent.name,
        locale=sent.locale,
        currency=sent.currency,
        meta=sent.meta,
    )
    user = shapes.user(person)
    if is_new:
        return answer(201, shapes.Created(created=True, user=user))
    return answer(200, shapes.Known(created=False, updated=True, user=user))


@get("/api/v1/users", opt=terms("A", READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def look_up(call: Incoming, email: Email) -> shapes.User:
    """Find a user by e-mail address."""
    if not email.strip():
        raise invalid("email", "empty", text="email query param required")
    return shapes.user(named(call, email))


@get("/api/v1/users/{user_id:str}", opt=terms("A", READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, user_id: FromPath[str]) -> shapes.User:
    """Return a user."""
    try:
        return shapes.user(people.get(call.house, call.who, person_id=user_id))
    except Refusal as refusal:
        raise missing(refusal, user_id=user_id) from refusal


@patch(
    "/api/v1/users/{user_id:str}",
    opt=terms("A", WRITE, body="levqor_body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def update(call: Incoming, user_id: FromPath[str], data: JSONBody[shapes.Changes]) -> shapes.Updated:
    """Change a user."""
    changes = {"name": data.name, "locale": data.locale, "currency": data.currency, "meta": data.meta}
    try:
        person = people.update(call.house, call.who, person_id=user_id, **changes)
    except Refusal as refusal:
        raise missing(refusal, user_id=user_id) from refusal
    return shapes.Updated(updated=True, user=shapes.user(person))


async def nobody(call: Call) -> Answer:
    """Answer for the id that is the word of another route."""
    word = call.path.rpartition("/")[2]
    raise Refusal(Kind.NOT_FOUND, "Person not found", user_id=word)


def named(call: Call, email: str) -> Person:
    """Return the person of an address; a plus in it that nobody encoded has arrived as a space."""
    for spelling in dict.fromkeys((email, email.strip().replace(" ", "+"))):
        try:
            return people.by_email(call.house, call.who, email=spelling)
        except Refusal as refusal:
            last = missing(refusal, email=email)
    raise last


def missing(refusal: Refusal, **named_by: str) -> Refusal:
    """Say which one is not found; any other refusal stays."""
    return Refusal(refusal.kind, refusal.text, **named_by) if refusal.kind is Kind.NOT_FOUND else refusal


ROUTES = (look_up, get_one, update)
HOT = (
    HotRoute(
        method="POST",
        path=UPSERT,
        run=upsert,
        terms=Terms(credential="A", action=WRITE, body="levqor_body_limit", creates=True, errors=(403,)),
        summary="Make or change a user",
        status=201,
        takes=shapes.NewUser,
        gives=shapes.Created,
        others=((200, shapes.Known),),
        tag="users",
    ),
    *(
        HotRoute(
            method=method, path=UPSERT, run=nobody, terms=Terms(credential="A", action=action, body=body), listed=False
        )
        for method, action, body in (("GET", READ, None), ("PATCH", WRITE, "levqor_body_limit"))
    ),
)
