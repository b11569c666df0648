"""The API description: `/openapi.json`, and `/docs`, a Swagger page whose every file lies on this origin."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from swagger_ui_bundle import swagger_ui_path

from headrace.wire.call import Answer, Call
from headrace.wire.door import HotRoute, Terms

ASSETS = "/-/docs/"
FILES = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
START = b"""\
window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    docExpansion: "none",
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis],
  });
});
"""
PAGE = b"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Headrace: API</title>
<link rel="stylesheet" href="/-/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/-/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<noscript><p>This page needs JavaScript; <a href="/openapi.json">the description itself</a> does not.</p></noscript>
<script src="/-/docs/swagger-ui-bundle.js"></script>
<script src="/-/docs/start.js"></script>
</body>
</html>
"""
OPEN = Terms(limited=False)


def routes(document: Callable[[], dict[str, Any]]) -> list[HotRoute]:
    """Return the routes of page, description and assets; `document` is asked once, at the first request."""
    files = {name: (media, (Path(swagger_ui_path) / name).read_bytes()) for name, media in FILES.items()}
    files["start.js"] = (b"text/javascript; charset=utf-8", START)
    described: list[bytes] = []

    async def description(call: Call) -> Answer:
        """Describe every route of every API."""
        del call
        if not described:
            described.append(msgspec.json.encode(document()))
        return Answer(200, described[0])

    async def page(call: Call) -> Answer:
        """Show the description."""
        call.family = "docs"
        return Answer(200, PAGE, media=b"text/html; charset=utf-8")

    listed = [
        HotRoute(
            method="GET", path="/openapi.json", run=description, terms=OPEN, summary="This description", tag="docs"
        ),
        HotRoute(method="GET", path="/docs", run=page, terms=OPEN, summary="This description as a page", tag="docs"),
    ]
    assets = [_asset(ASSETS + name, media, content) for name, (media, content) in files.items()]
    return [*listed, *assets]


def _asset(path: str, media: bytes, content: bytes) -> HotRoute:
    async def asset(call: Call) -> Answer:
        call.family = "asset"
        return Answer(200, content, media=media)

    return HotRoute(method="GET", path=path, run=asset, terms=OPEN, listed=False)
