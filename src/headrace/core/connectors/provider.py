"""What a connector's provider is: its actions as a table, and how its answers and errors are read. No request is sent
here; `calling.py` does that. Credentials pass through and stay nowhere.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from headrace.core.refusals import Refusal, invalid

Json = dict[str, Any]
PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Letters of a path that is given whole: nothing that a server may read as another path, host or query.
PATH = re.compile(r"(?:[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*)(?:/[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*)*")
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
LONGEST_PATH = 1_024


class Take(msgspec.Struct, frozen=True):
    """An optional parameter: its name at the provider, its default (None: left out), the bounds of a number."""

    wire: str
    default: Any = None
    least: int | None = None
    most: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request below a provider's base address; `query` stands in the address, `form` wins over `body`."""

    method: str
    path: str
    query: Json = {}
    body: Any = None
    form: Json | None = None
    headers: Mapping[str, str] = {}

    def content(self) -> tuple[bytes, str]:
        """Return the bytes of the body and their content type; without a body both are empty."""
        if self.form is not None:
            return urlencode(flat(self.form)).encode(), "application/x-www-form-urlencoded"
        if self.body is not None:
            return json.dumps(self.body).encode(), "application/json"
        return b"", ""

    def address(self, base: str) -> str:
        """Return the whole address; in its query a list repeats its name."""
        text = base.rstrip("/") + "/" + self.path
        lists = {name: value for name, value in self.query.items() if isinstance(value, list)}
        query = flat(self.query) | {name: [str(one) for one in value] for name, value in lists.items()}
        return f"{text}?{urlencode(query, doseq=True)}" if query else text


# Sends one request below the base address and returns the answer; raises the refusal of what the provider complains of.
Send = Callable[[Request], Json]
# Sends bytes to an address that the provider named.
Upload = Callable[[str, bytes], None]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One action. A `{name}` in `path` takes the parameter of that name; the others go where `sends` says.

    `shape` turns the provider's answer into the action's result, `build` the parameters into the whole body, `steps`
    replaces the one request by several.
    """

    method: str = "POST"
    path: str = ""
    sends: Literal["query", "json", "form"] = "query"
    needs: tuple[str, ...] = ()
    wires: Mapping[str, str] = {}
    takes: Mapping[str, Take] = {}
    fixed: Json = {}
    build: Callable[[Json], Json] | None = None
    shape: Callable[[Json], Json] | None = None
    headers: Mapping[str, str] = {}
    steps: Callable[[Json, Send, Upload], Json] | None = None

    def complete(self, params: Json) -> None:
        """Refuse parameters of which one that is needed is missing."""
        if any(params.get(name) is None or params[name] == "" for name in self.needs):
            raise bad(f"{_listed(self.needs)} required")

    def request(self, params: Json) -> Request:
        """Build the request, or refuse parameters that are missing or out of bounds."""
        self.complete(params)
        inside = set(PLACEHOLDER.findall(self.path))
        path = PLACEHOLDER.sub(lambda found: segment(found[1], params[found[1]]), self.path)
        values = {self.wires.get(name, name): params[name] for name in self.needs if name not in inside}
        for name, take in self.takes.items():
            value = params.get(name)
            value = take.default if value is None else _bounded(name, value, take)
            if value is not None:
                values[take.wire] = value
        values = dict(self.fixed) | (values if self.build is None else self.build(params))
        match self.sends:
            case "query":
                return Request(method=self.method, path=path, query=values, headers=self.headers)
            case "json":
                return Request(method=self.method, path=path, body=values, headers=self.headers)
            case _:
                return Request(method=self.method, path=path, form=values, headers=self.headers)


class Renewal(msgspec.Struct, frozen=True):
    """How an expired token is replaced: the setting of the address, and the form (None: the credentials cannot)."""

    url: str
    form: Callable[[Json], Json | None]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One provider. `credential` is the sentence for a call without one, `url` the setting of its base address.

    `authorize` adds the credential to a request; `complaint` reads what the provider says went wrong from the status
    and the answer (None: nothing); `wait` the seconds it asks to wait, where that stands in the answer.
    """

    name: str
    url: str
    credential: str
    actions: Mapping[str, Action]
    complaint: Callable[[int, Any], str | None]
    authorize: Callable[[Request, str], Request]
    busy: Callable[[int, Any], bool] = lambda status, _answer: status == 429 or status >= 500  # noqa: PLR2004
    wait: Callable[[Any], float | None] = lambda _answer: None
    renewal: Renewal | None = None


def bad(text: str) -> Refusal:
    return invalid("params", "value", text=text)


def bearer(request: Request, token: str) -> Request:
    return msgspec.structs.replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})


def segment(name: str, value: Any) -> str:
    """One part of a path: a text or a number, encoded whole, that cannot lead elsewhere."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text or not text.strip("."):
        raise bad(f"{name} must be an id")
    return quote(text, safe="")


def raw(params: Json) -> Request:
    """Build the request of `raw`: any method and path below the base address."""
    method, path = params.get("method"), params.get("path")
    if not isinstance(method, str) or not isinstance(path, str) or not method or not path:
        raise bad("method and path required")
    if method.upper() not in METHODS:
        raise bad(f"method must be one of {', '.join(METHODS)}")
    inner = path.removeprefix("/")
    if len(inner) > LONGEST_PATH or not PATH.fullmatch(inner):
        raise bad("path must be a plain path below the connector's address: letters, digits and ._~:@- between slashes")
    query = params.get("query") or {}
    if not isinstance(query, dict):
        raise bad("query must be an object")
    return Request(method=method.upper(), path=inner, query=query, body=params.get("body"))


def flat(values: Json) -> dict[str, str]:
    """Values as forms and addresses carry them: texts as they are, anything else as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def _bounded(name: str, value: Any, take: Take) -> Any:
    if take.most is None:
        return value
    least = take.least or 0
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= take.most:
        raise bad(f"{name} must be {least}-{take.most}")
    return value


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
