"""Ids of requests that came without one: random to start with, then counted. They are names, not secrets."""

import itertools
import secrets

_ids = itertools.count(secrets.randbits(95))


def fresh_id() -> str:
    return f"req_{next(_ids):024x}"
