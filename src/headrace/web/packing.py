"""Pages and their parts compressed for the browser: lists of events repeat themselves, and shrink to a tenth."""

import gzip

import brotli  # type: ignore[import-untyped]  # It ships no types.
import msgspec

from headrace.web.browser import SAFE
from headrace.wire.call import Answer, Call

LEAST = 1_024
# A page of 100 events takes 1 to 2 milliseconds.
BROTLI, GZIP = 4, 5
LED = frozenset({"cross-site", "same-site"})


def packed(call: Call, answer: Answer) -> Answer:
    """Compress what is read. The length of a secret beside text of somebody else's choice is to tell nothing (BREACH):
    what a form answers, and what another site leads to, is sent as it is.
    """
    encoding = accepted(call)
    led = call.method not in SAFE or call.header("sec-fetch-site") in LED
    if led or len(answer.body) < LEAST or call.stream is not None or not encoding:
        return answer
    body = (
        brotli.compress(answer.body, quality=BROTLI) if encoding == "br" else gzip.compress(answer.body, GZIP, mtime=0)
    )
    headers = (*answer.headers, (b"content-encoding", encoding.encode()), (b"vary", b"Accept-Encoding"))
    return msgspec.structs.replace(answer, body=body, headers=headers)


def accepted(call: Call) -> str:
    """Return the encoding that a browser understands best: br, which it takes over https alone, gzip, or none."""
    named = {one.partition(";")[0].strip() for one in (call.header("accept-encoding") or "").lower().split(",")}
    return next((one for one in ("br", "gzip") if one in named), "")
