"""Sample logs as services write them, the same for the same number: about 500 bytes each as JSON. No sending here.

Shares: 15 % debug, 75 % info, 7 % warning, 3 % error or critical (most of these with a stack trace); about half
belong to a request (three or so to each) and carry its id and endpoint, the others are the work of queues, caches,
databases and schedules.
"""

import datetime as dt
import json
import random
from bisect import bisect
from collections.abc import Callable, Iterator
from itertools import accumulate
from math import log
from typing import NamedTuple

SIZE = 1_000
DAY = 86_400_000_000

SERVICES = ("api-gateway", "checkout", "billing", "auth", "search", "inventory", "mailer", "worker", "web", "catalog")
REGIONS = ("eu-central-1", "us-east-1", "us-west-2")
PATHS = (
    ("GET", "/api/v1/orders"),
    ("GET", "/api/v1/orders/{id}"),
    ("POST", "/api/v1/orders"),
    ("GET", "/api/v1/users/{user}"),
    ("PUT", "/api/v1/users/{user}/address"),
    ("GET", "/api/v1/cart"),
    ("POST", "/api/v1/cart/items"),
    ("DELETE", "/api/v1/cart/items/{id}"),
    ("POST", "/login"),
    ("GET", "/search?q=summer+shoes&page={few}"),
    ("POST", "/api/v1/payments/{id}/capture"),
)
STATUSES = (200,) * 22 + (201, 201, 204, 301, 304, 400, 401, 404, 404, 422, 500, 503)
OWN = (
    "Cache miss for key session:{user}:profile, loaded from database replica {few} in {ms} ms",
    "Message consumed from topic orders.events partition {few} offset {id} by consumer group billing",
    "Slow query on table orders: {ms} ms, {id} rows examined, index ix_orders_created used",
    "Scheduled job nightly-report finished, {id} rows written to warehouse in {ms} ms",
    "Retrying call to inventory at {address}, attempt {few} of 5, last error was connection reset by peer",
    "Payment {id} authorised by provider, amount {ms}.{few}0 EUR, order {id}",
    "Mail {id} of template order-confirmation accepted by {address} after {ms} ms",
    "Pool of database connections at {few} of 20, oldest idle for {ms} s",
)
OF_REQUEST = (
    "{method} {path} answered {status} in {ms} ms for user {user}",
    "User {user} logged in from {address} with device {hex}",
    "Order {id} of user {user} priced at {ms}.{few}5 EUR with {few} items",
    "Token of user {user} verified, session {hex} is valid for {ms} s",
)
ERRORS = (
    ("TimeoutError", "request to {address} timed out after {ms} ms"),
    ("ConnectionError", "cannot connect to database replica {few} at {address}: connection refused"),
    ("KeyError", "'customer_{few}'"),
    ("ValueError", "invalid literal for int() with base 10: '{hex}'"),
    ("IntegrityError", "duplicate key value violates unique constraint orders_pkey: {id}"),
    ("PaymentDeclined", "card of user {user} declined with code {few}"),
)
MODULES = ("views", "orders", "payments", "session", "inventory", "tasks", "tokens")
CALLS = ("handle", "process", "execute", "fetch", "load", "commit", "charge", "retry", "validate", "dispatch")
LEVELS = ("debug", "info", "warning", "error", "critical")
LEVEL_SHARES = tuple(accumulate((0.15, 0.75, 0.07, 0.027, 0.003)))


class Tables(NamedTuple):
    """What is made once and drawn from often."""

    stacks: list[tuple[str, str, str]]  # JSON of type; template of the error's message; JSON of the trace
    hosts: list[str]
    addresses: list[str]


def tables() -> Tables:
    rng = random.Random(1)
    stacks = []
    for _ in range(80):
        kind, text = rng.choice(ERRORS)
        frames = "".join(
            f'  File "/srv/app/{rng.choice(MODULES)}.py", line {rng.randint(10, 900)}, in {rng.choice(CALLS)}_'
            f"{rng.randint(1, 9)}\n    return self.{rng.choice(CALLS)}(request, timeout=timeout)\n"
            for _ in range(rng.randint(4, 9))
        )
        stacks.append((kind, text, json.dumps(f"Traceback (most recent call last):\n{frames}{kind}")))
    return Tables(
        stacks=stacks,
        hosts=[f"{service}-{number}" for service in SERVICES for number in range(1, 7)],
        addresses=[f"10.{rng.randint(0, 9)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}" for _ in range(500)],
    )


TABLES = tables()


def batch(number: int, start: int, step: float, size: int = SIZE) -> list[str]:
    """The logs of batch `number` as JSON texts.

    Log i of all is sent at `start` + i * `step` (microseconds), give or take a second.
    """
    rng = random.Random(number)
    uniform, bits = rng.random, rng.getrandbits
    second_text = cached_seconds()
    first = start + int(number * size * step)
    release = f"v1.{number // 300}.{number // 60 % 5}"
    logs = []
    requests = [f"{bits(48):012x}" for _ in range(8)]  # Those under way at the same time.
    for place in range(size):
        time = first + int(place * step + uniform() * 2_000_000 - 2_000_000)
        seconds, micros = divmod(time, 1_000_000)
        level = LEVELS[bisect(LEVEL_SHARES, uniform() * LEVEL_SHARES[-1])]
        service = int(uniform() ** 2 * len(SERVICES))  # A few services write most.
        if uniform() < 0.17:
            requests[bits(3)] = f"{bits(48):012x}"
        facts = {
            "request": requests[bits(3)],
            "id": 1_000_000_000 + bits(33),
            "user": 1 + int(uniform() ** 2 * 50_000),
            "few": 1 + bits(3),
            "ms": 1 + int(-90 * log(1 - uniform())),
            "hex": f"{bits(48):012x}",
            "address": TABLES.addresses[int(uniform() * 500)],
        }
        head = f'{{"timestamp":"{second_text(seconds)}.{micros:06d}Z","level":"{level}",'
        tail = (
            f'"environment":"production","release":"{release}","sdk_version":"2.4.1","platform":"python",'
            f'"platform_version":"3.12.4","attributes":{{"service":"{SERVICES[service]}",'
            f'"host":"{TABLES.hosts[service * 6 + bits(8) % 6]}","region":"{REGIONS[service % 3]}",'
            f'"user_id":{facts["user"]}'
        )
        logs.append(head + middle(level, facts, uniform) + tail + rest(facts, uniform) + "}}")
    return logs


def middle(level: str, facts: dict[str, object], uniform: Callable[[], float]) -> str:
    """The message and, of most errors, type, text and trace; decides whether the log belongs to a request."""
    asked = uniform() < 0.5
    facts["asked"] = asked
    if asked:
        method, path = PATHS[int(uniform() * len(PATHS))]
        facts["method"], facts["path"] = method, path.format_map(facts)
        facts["status"] = STATUSES[int(uniform() * len(STATUSES))]
        text = OF_REQUEST[0 if uniform() < 0.7 else int(uniform() * len(OF_REQUEST))].format_map(facts)
    else:
        text = OWN[int(uniform() * len(OWN))].format_map(facts)
    if level not in {"error", "critical"} or uniform() < 0.2:
        return f'"log_type":"logger","importance":"standard","message":"{text}",'
    kind, template, trace = TABLES.stacks[int(uniform() ** 2 * len(TABLES.stacks))]
    return (
        f'"log_type":"exception","importance":"high","message":"{text}","error_type":"{kind}",'
        f'"error_message":"{template.format_map(facts)}","stack_trace":{trace},'
    )


def rest(facts: dict[str, object], uniform: Callable[[], float]) -> str:
    """The attributes that only some logs have."""
    if facts["asked"]:
        return (
            f',"request_id":"req_{facts["request"]}","endpoint":{{"method":'
            f'"{facts["method"]}","path":"{facts["path"]}","status_code":{facts["status"]},"duration_ms":{facts["ms"]}}}'
        )
    thread = f',"thread":"worker-{facts["few"]}","logger":"app.{MODULES[int(uniform() * len(MODULES))]}"'
    return thread + (f',"queue":"orders","attempt":{facts["few"]}' if uniform() < 0.4 else "")


def cached_seconds() -> Callable[[int], str]:
    """Texts of whole seconds: neighbours in a batch share them."""
    known: dict[int, str] = {}

    def text(seconds: int) -> str:
        if seconds not in known:
            known[seconds] = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return known[seconds]

    return text


def bodies(first: int, count: int, start: int, step: float, size: int = SIZE) -> Iterator[bytes]:
    """Bodies of batch requests, `first` and on."""
    for number in range(first, first + count):
        yield ('{"logs":[' + ",".join(batch(number, start, step, size)) + "]}").encode()
