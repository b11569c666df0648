"""The page of the audit log: what it shows, how it is narrowed, and that hostile text stays text."""

from headrace.core import audit
from headrace.core.identity import sessions
from tests.doors.conftest import Origin
from tests.web.conftest import NAUGHTY, Visitor, links


def test_the_log_is_shown_and_narrowed(origin: Origin, visitor: Visitor) -> None:
    who = sessions.resolve(origin.house, visitor.tenant.token)
    with origin.house.db.write() as connection:
        for text in NAUGHTY:
            audit.record(connection, origin.house, who, "alert:alert:changed", target="alert:1", data={"name": text})
    shown = visitor.get("/ui/audit").text
    for text in ("alert:alert:changed", "apikey:key:created", f"key:{visitor.tenant.key_id}"):
        assert text in shown, text
    assert "<script>window" not in shown
    assert 'href="/ui/audit"' in shown
    assert "apikey:key:created" not in visitor.get("/ui/audit?action=alert").text
    nobody = visitor.get("/ui/audit?account=999999").text
    assert "Nothing was changed that fits." in nobody


def test_its_pages_follow_each_other(origin: Origin, visitor: Visitor) -> None:
    who = sessions.resolve(origin.house, visitor.tenant.token)
    with origin.house.db.write() as connection:
        for number in range(101):
            audit.record(connection, origin.house, who, "alert:alert:changed", target=f"alert:{number}")
    shown = visitor.get("/ui/audit?action=alert").text
    (older,) = (link for link in links(shown) if "before=" in link)
    page = visitor.get(older).text
    assert "alert:0<" in page
    assert "alert:1<" not in page
    assert "newest</a>" in page
