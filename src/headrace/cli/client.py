"""HTTP from the command line: one kept connection to one server, with its credential. No verb, no retries."""

import contextlib
import http
import http.client
import os
import re
import ssl
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from headrace.cli.screen import Misuse, Trouble

PROJECT_KEY = re.compile(r"(?:ldg|ledger)_proj_([0-9]{1,19})_[a-z0-9]+")
LOCAL = {"127.0.0.1", "localhost", "::1"}
# These name the server to talk to; the settings of a server are in core.
URL_VARIABLE = "HEADRACE_URL"
KEY_VARIABLE = "HEADRACE_KEY"
CHUNK = 1 << 18


class LostError(Exception):
    """No answer came: nothing listens, or the connection broke. The request may have been done or not."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as problem:
            raise Trouble(
                f"the server answered {self.status} with something that is not JSON; is there really Headrace?"
            ) from problem

    @property
    def detail(self) -> str:
        """The sentence of an error answer, whichever door wrote it."""
        try:
            body = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return f"status {self.status}"
        if isinstance(body, dict):
            for name in ("detail", "message", "details", "error"):
                if isinstance(body.get(name), str):
                    return str(body[name])
        return f"status {self.status}"

    @property
    def retry_after(self) -> int | None:
        text = self.headers.get("retry-after", "")
        return int(text) if text.isdigit() else None


class Client:
    """One server. `ask` raises LostError when no answer comes; every status is an answer."""

    def __init__(self, url: str, credential: str, *, seconds: float = 60.0) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Misuse(f"--url must be like http://127.0.0.1:8000, and is {url!r}")
        try:
            port = parts.port
        except ValueError as problem:
            raise Misuse(f"--url has no valid port: {url!r}") from problem
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self.prefix = parts.path.rstrip("/")
        self.is_local = parts.hostname in LOCAL
        self.credential = credential
        self.connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(parts.hostname, port, timeout=seconds, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, port, timeout=seconds)
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        with self._answered(method, path, query, body, sent) as response:
            return _whole(response)

    def follow(self, path: str, *, query: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[str | Answer]:
        """Yield the lines of an answer as they come, until it ends; of an answer without success only itself."""
        with self._answered("GET", path, query, None, headers) as response:
            if response.status == http.HTTPStatus.OK:
                for line in response:
                    yield line.decode().rstrip("\r\n")
            else:
                yield _whole(response)

    def fetch(self, path: str, *, query: Mapping[str, Any]) -> Iterator[bytes | Answer]:
        """Yield first the answer (its body only when it is a refusal), then a file's bytes as they come."""
        with self._answered("GET", path, query, None, {}) as response:
            if response.status != http.HTTPStatus.OK:
                yield _whole(response)
                return
            yield Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, b"")
            while piece := response.read1(CHUNK):
                yield piece
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)

    @contextlib.contextmanager
    def _answered(
        self, method: str, path: str, query: Mapping[str, Any] | None, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        target = self.prefix + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        sent = {"Authorization": f"Bearer {self.credential}", **headers}
        try:
            self.connection.request(method, target, body=body, headers=sent)
            yield self.connection.getresponse()
        except (OSError, http.client.HTTPException) as problem:
            self.connection.close()
            raise LostError(_reason(problem)) from problem

    def close(self) -> None:
        self.connection.close()


class Target(NamedTuple):
    """A client and the project that it speaks about."""

    client: Client
    project_id: int


def target(given: Namespace) -> Target:
    """Read `--url`, `--key` and `--project` (or the environment) of a verb that speaks HTTP."""
    credential = given.key or os.environ.get(KEY_VARIABLE, "")
    if not credential:
        raise Misuse(f"give a key: --key KEY or {KEY_VARIABLE}=KEY; `headrace key create PROJECT` makes one")
    return Target(Client(address(given), credential), project_of(credential, given.project))


def address(given: Namespace) -> str:
    return given.url or os.environ.get(URL_VARIABLE) or "http://127.0.0.1:8000"


def project_of(credential: str, project: str | None) -> int:
    """Return the project's id: a project key has it in its text, any other credential needs `--project ID`."""
    in_key = PROJECT_KEY.fullmatch(credential)
    if in_key:
        own = int(in_key[1])
        if project is not None and project.isdigit() and int(project) != own:
            raise Misuse(f"the key belongs to project {own}, and --project names {project}")
        return own
    if project is None or not project.isdigit():
        raise Misuse("this is not a project's key: name the project with --project ID")
    return int(project)


def refused(answer: Answer, client: Client) -> Trouble:
    """Say what an answer that is not wanted means for the person, and what to do."""
    match answer.status:
        case 401:
            hint = "; check --key: `headrace key list` shows which keys stand, `headrace key create PROJECT` makes one"
        case 403:
            hint = "; take a key of this project with the right scopes"
        case 404:
            hint = f"; check the project, and that {client.url} is Headrace"
        case 429 | 503:
            hint = f"; try again in {answer.retry_after} s" if answer.retry_after else "; try again later"
        case status if status >= 500:  # noqa: PLR2004
            hint = "; the server's log has the cause"
        case _:
            hint = ""
    return Trouble(f"{client.url} answered {answer.status}: {answer.detail}{hint}")


def unreachable(client: Client, problem: LostError) -> Trouble:
    return Trouble(f"cannot reach {client.url}: {problem}; start it with `headrace serve`, or name it with --url")


def _whole(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def _reason(problem: Exception) -> str:
    if isinstance(problem, ssl.SSLError):
        return f"TLS failed: {problem.reason or problem}"
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    if isinstance(problem, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
