"""Litestar behind a door: one application per door, for parameters, threads and API description.

It sees a request only after the origin's checks. Handlers take `call` (wire.call.Call), their parameters by name and
`data`, a record; what they refuse passes through to the origin.
"""

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.di import Provide
from litestar.dto import AbstractDTO
from litestar.exceptions import ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.params import PathParameter, QueryParameter
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition
from litestar.typing import FieldDefinition
from litestar.utils import make_non_optional_union

from headrace import __version__
from headrace.core.refusals import Refusal, invalid
from headrace.wire import complaints, jsons
from headrace.wire.call import Call, Message, Send
from headrace.wire.door import Door

T = TypeVar("T")

CALL = "headrace.call"
INTEGER = re.compile(r"-?[0-9]+")
DIGITS = "must be an integer in decimal digits"


class JsonBody(AbstractDTO[T]):
    """Decodes `data` by the house's rules (wire.jsons) instead of the framework's."""

    @classmethod
    def create_for_field_definition(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,
        backend_cls: Any = None,
    ) -> None:
        """Prepare nothing: the type stands in the handler's signature."""

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Any:
        del handler_id
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        raise NotImplementedError(f"{model_type} is decoded whole")

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        raise NotImplementedError(f"{field_definition} is decoded whole")

    def decode_bytes(self, value: bytes) -> Any:
        field = self.asgi_connection.route_handler.parsed_fn_signature.parameters["data"]
        if not value and field.is_optional:
            return None
        return jsons.decode(value, field.annotation)


class Application(Litestar):
    """Without plugins for records of other libraries: finding out whether they are installed loads them."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


class Applications(Mapping[str, Litestar]):
    """The applications of doors by name, each built when it is first wanted: all together take half a second."""

    def __init__(self, doors: Sequence[Door]) -> None:
        self.doors = {door.name: door for door in doors}
        self.built: dict[str, Litestar] = {}
        self.lock = threading.Lock()

    def __getitem__(self, name: str) -> Litestar:
        with self.lock:
            if name not in self.built:
                self.built[name] = framework(self.doors[name])
            return self.built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.doors)

    def __len__(self) -> int:
        return len(self.doors)

    async def of(self, name: str) -> Litestar:
        """Return an application; where it has yet to be built, the event loop does other things meanwhile."""
        found = self.built.get(name)
        return found if found is not None else await asyncio.to_thread(self.__getitem__, name)

    def build(self) -> None:
        """Build what is not built yet."""
        for name in self:
            self[name]


def framework(door: Door) -> Litestar:
    """Build the application of one door."""
    return Application(
        # All at once: registered one by one, the first of three handlers of one path runs in a thread of a thread.
        route_handlers=[Router(path="/", route_handlers=list(door.routes))],
        dependencies={"call": Provide(_call, sync_to_thread=False)},
        before_request=_check_integers,
        dto=JsonBody,
        return_dto=None,
        exception_handlers={ValidationException: _wrong_parameter, Exception: _pass_through},
        openapi_config=OpenAPIConfig(
            title=door.title,
            version=__version__,
            render_plugins=(),
            path="/-/none",
            operation_id_creator=_operation_id,
        ),
        logging_config=None,
        request_max_body_size=None,
    )


def _operation_id(handler: HTTPRouteHandler, method: Method, parts: list[str | PathParameterDefinition]) -> str:
    """Name an operation by method and path; of handlers that share a path the framework forgets the names."""
    del handler
    names = (part if isinstance(part, str) else part.name for part in parts)
    return method.title() + "".join(word.title() for name in names for word in re.split(r"[^A-Za-z0-9]+", name))


async def dispatch(app: Litestar, call: Call, send: Send) -> None:
    """Have the framework answer `call`; its body is handed over as it was read."""
    scope = call.scope
    if call.method == "HEAD":
        scope = {**scope, "method": "GET"}
    scope[CALL] = call
    handed = False

    async def receive() -> Message:
        nonlocal handed
        if handed:
            return await call.receive()
        handed = True
        return {"type": "http.request", "body": call.body, "more_body": False}

    application: Any = app  # The framework types its own messages; ours are plain mappings.
    await application(scope, receive, send)


def _call(request: Request[Any, Any, Any]) -> Call:
    call: Call = request.scope[CALL]  # type: ignore[literal-required]
    return call


async def _check_integers(request: Request[Any, Any, Any]) -> None:
    """Refuse integers that are not written in digits; the decoder takes `1e3`, `1.0`, and `null` for none."""
    parts, given = request.path_params, request.query_params
    for name, rule in _integers(request.route_handler) if parts or given else ():
        texts = [parts[name]] if name in parts else given.getall(name, ())
        if not all(map(INTEGER.fullmatch, texts)):
            raise _broken(name, rule)


@lru_cache(maxsize=1024)
def _integers(handler: HTTPRouteHandler) -> list[tuple[str, str]]:
    """Return the integers that a handler reads from path and query: their names, and what is said of another text."""
    found = []
    for name, field in _parameters(handler).items():
        given = field.kwarg_definition
        if isinstance(given, PathParameter | QueryParameter) and _kind(field) is int:
            shown = given.name or name
            rule = complaints.rule(_declared(field)) if isinstance(given, PathParameter) or _is_id(shown) else None
            found.append((shown, rule or DIGITS))
    return found


def _pass_through(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    del request
    raise error


def _wrong_parameter(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """Turn the framework's complaint about parameters into a refusal that names the parameter."""
    if isinstance(error.__cause__, KeyError):
        name = error.__cause__.args[0]
        raise invalid(name, complaints.REQUIRED, type="missing", text=f"{name} is required") from error
    extra = error.extra if isinstance(error.extra, list) else []
    name = extra[0].get("key", "") if extra and isinstance(extra[0], dict) else ""
    field = _parameters(request.route_handler).get(name.partition(".")[0])
    if name == "data":
        raise jsons.malformed() from error
    if field is None:
        raise invalid(name or "request", "is not valid") from error
    shown = getattr(field.kwarg_definition, "name", None) or name
    rule = complaints.rule(_declared(field)) or complaints.refusal(extra[0]["message"], str).facts["rule"]
    raise _broken(shown, rule) from error


def _broken(name: str, rule: str) -> Refusal:
    # Ids have a sentence of their own at every door that words them.
    return invalid(name, rule, text=f"{name} {rule}" if _is_id(name) else None)


def _is_id(name: str) -> bool:
    return name.endswith("_id")


def _parameters(handler: HTTPRouteHandler) -> dict[str, FieldDefinition]:
    """Return the parameters of a handler and of what provides for it, by name."""
    providers = [provider.parsed_fn_signature for provider in handler.resolve_dependencies().values()]
    signatures = [*providers, handler.parsed_fn_signature]
    return {name: field for signature in signatures for name, field in signature.parameters.items()}


def _declared(field: FieldDefinition) -> Any:
    """Return a parameter's type with the bounds that were declared beside it."""
    given = field.kwarg_definition
    bounds = {name: getattr(given, name, None) for name in ("ge", "le", "min_length", "max_length")}
    set_ones = {name: bound for name, bound in bounds.items() if bound is not None}
    kind = _kind(field)
    return Annotated[kind, msgspec.Meta(**set_ones)] if set_ones else kind


def _kind(field: FieldDefinition) -> Any:
    """Return a parameter's type; of one that may be left out, that of its value."""
    return make_non_optional_union(field.annotation) if field.is_optional else field.annotation
