"""The pages of webhooks, without script: made, tested, rotated, switched, and the log with hostile answers."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.receiver import Receiver
from tests.web.conftest import NAUGHTY, OWN, UNHURRIED, Visitor


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"outbound_allow": ("127.0.0.0/8",), **UNHURRIED}


def endpoint_of(answer: httpx.Response) -> str:
    found = re.search(r'action="(/ui/webhooks/wh_[0-9a-f]+)"', answer.text)
    assert found
    return found[1]


def test_an_endpoint_from_its_form_to_its_end(visitor: Visitor, receiver: Receiver, until: Callable[..., None]) -> None:
    receiver.answer = 200
    assert "no webhooks yet" in visitor.get("/ui/webhooks").text
    wrong = visitor.post("/ui/webhooks", {"url": "http://10.0.0.1/", "events": "job.*"})
    assert (wrong.status_code, "not allowed" in wrong.text) == (400, True)
    assert 'value="http://10.0.0.1/"' in wrong.text
    assert "there is no event nothing" in visitor.post("/ui/webhooks", {"url": receiver.url, "events": "nothing"}).text

    made = visitor.post("/ui/webhooks", {"url": f"{receiver.url}/page", "events": "job.*, key.created"})
    one = endpoint_of(made)
    assert "whsec_" in made.text
    assert "shown this once" in made.text
    assert "whsec_" not in visitor.get(one).text
    assert f"{receiver.url}/page" in visitor.get("/ui/webhooks").text

    sent = visitor.post(f"{one}/test")
    assert sent.status_code == 303
    until(lambda: "delivered" in visitor.get(sent.headers["location"]).text)
    shown = visitor.get(sent.headers["location"]).text
    assert "webhook.test" in shown
    assert "webhook-signature: v1," in shown
    again = visitor.post(f"{sent.headers['location']}/redeliver")
    assert again.headers["location"] == sent.headers["location"]
    until(lambda: len([got for got in receiver.requests if got.path == "/page"]) == 2)
    until(lambda: "webhook.test" in visitor.get("/ui/webhooks/deliveries?status=delivered").text)

    rotated = visitor.post(f"{one}/rotate")
    assert "signature of the old one too" in rotated.text
    changed = visitor.post(one, {"url": f"{receiver.url}/moved", "events": "*", "description": "ours"})
    assert changed.status_code == 303
    assert "/moved" in visitor.get(one).text
    assert "not allowed" in visitor.post(one, {"url": "http://127.0.0.1:22/", "events": "*"}).text
    visitor.post(f"{one}/switch", {"to": "off"})
    assert "switched off" in visitor.get(one).text
    assert "switched off" in visitor.post(f"{one}/test").text
    visitor.post(f"{one}/switch", {"to": "on"})
    assert visitor.post(f"{one}/recover", {"hours": "1"}).status_code == 303
    assert visitor.post(f"{one}/delete").headers["location"] == "/ui/webhooks"
    assert visitor.get(one).status_code == 404


def test_a_receiver_that_has_too_much_is_shown(
    visitor: Visitor, receiver: Receiver, until: Callable[..., None]
) -> None:
    receiver.answer = 429
    one = endpoint_of(visitor.post("/ui/webhooks", {"url": f"{receiver.url}/much", "events": "job.*"}))
    assert "asked for less" not in visitor.get(one).text
    visitor.post(f"{one}/test")
    until(lambda: "asked for less: until 20" in visitor.get(one).text)
    visitor.post(f"{one}/delete")


def test_what_receivers_and_people_write_is_inert(
    visitor: Visitor, receiver: Receiver, until: Callable[..., None]
) -> None:
    receiver.answer = lambda _: web.Response(body="\n".join(NAUGHTY).encode())
    for text in ("".join(NAUGHTY[:5]), "".join(NAUGHTY[5:-1])):
        made = visitor.post("/ui/webhooks", {"url": f"{receiver.url}/x", "events": "*", "description": text[:255]})
        assert made.status_code == 200, made.text
    sent = visitor.post(f"{endpoint_of(made)}/test").headers["location"]
    until(lambda: "delivered" in visitor.get(sent).text)
    shown = visitor.get(sent).text
    assert "javascript:window.broken=1" in shown
    for tag in ("<script>", "<img src=x", "<svg/onload", "<iframe", "<b>"):
        assert tag not in shown
        assert tag not in made.text
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    listed = visitor.get("/ui/webhooks").text
    assert "<script>window" not in listed
    assert "\x1b" not in listed


def test_pages_are_the_admins_own(visitor: Visitor, receiver: Receiver, new_tenant: Any) -> None:
    made = visitor.post("/ui/webhooks", {"url": f"{receiver.url}/own", "events": "*"})
    path = endpoint_of(made)
    other = new_tenant()
    with httpx.Client(base_url=visitor.http.base_url) as http:
        assert http.get(path).headers["location"].startswith("/ui/sign-in")
        http.post("/ui/sign-in", data={"email": other.email, "password": "SecurePass123"}, headers=OWN)
        assert http.get(path).status_code == 404
        assert http.post(f"{path}/delete", headers=OWN).status_code == 404
        assert http.post(f"{path}/rotate", headers=OWN).status_code == 404
        assert http.post(f"{path}/delete", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert visitor.get(path).status_code == 200
