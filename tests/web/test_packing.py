"""How much a browser loads: pages and assets compressed as it understands, and no answer that may hold a new secret."""

import gzip
import re

import brotli  # type: ignore[import-untyped]
import pytest

from tests.doors.conftest import Origin
from tests.web.conftest import OWN, Visitor

LOGS = "/ui/projects/{slug}/logs"
# Of HTML, styles and scripts together, the first time.
FIRST_LOAD = 150 * 1024
UNPACK = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}


@pytest.mark.parametrize(
    ("asked", "encoding"),
    [("gzip, deflate, br, zstd", "br"), ("gzip, deflate", "gzip"), ("GZIP;q=0.5", "gzip"), ("identity", ""), ("", "")],
)
def test_a_first_visit_is_light(origin: Origin, visitor: Visitor, asked: str, encoding: str) -> None:
    logs = [{"message": f"order {n} of {n * 7919 % 1000} was paid", "attributes": {"n": n}} for n in range(100)]
    visitor.send(*logs, origin=origin)
    path = LOGS.format(slug=visitor.tenant.slug)

    def load(path: str) -> tuple[int, bytes]:
        with visitor.http.stream("GET", path, headers={"Accept-Encoding": asked}) as answer:
            raw = b"".join(answer.iter_raw())
        assert answer.status_code == 200
        assert answer.headers.get("content-encoding", "") in {encoding, ""}
        small = answer.headers.get("content-encoding") is None
        if not small:
            assert answer.headers["vary"] == "Accept-Encoding"
            assert int(answer.headers["content-length"]) == len(raw)
        return len(raw), raw if small else UNPACK[encoding](raw)

    size, page = load(path)
    # And the line below them.
    assert page.count(b"<tr class=") == 100 + 1
    for part in (
        f"{path}/histogram",
        f"{path}/facets",
        *re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', page.decode()),
    ):
        more, content = load(part)
        assert content
        size += more
    assert size < FIRST_LOAD or not encoding


def test_what_may_tell_a_secret_by_its_length_is_not_compressed(visitor: Visitor) -> None:
    path = f"/ui/projects/{visitor.tenant.slug}/keys"
    made = visitor.http.post(path, data={"name": "laptop"}, headers=OWN | {"Accept-Encoding": "br, gzip"})
    assert re.search(r"ldg_proj_\w+", made.text)
    assert "content-encoding" not in made.headers
    listed = visitor.http.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert listed.headers["content-encoding"] == "br"
    for site, encoding in (("same-origin", "br"), ("none", "br"), ("same-site", None), ("cross-site", None)):
        led = visitor.http.get(path, headers={"Accept-Encoding": "br", "Sec-Fetch-Site": site})
        assert led.headers.get("content-encoding") == encoding, site
