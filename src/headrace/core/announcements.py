"""What happened, told inside the transaction of the change. Who listens is put in by app.py; nobody has to."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from headrace.core.house import House

# Called with the connection of the change, the house, the organization's id, the event's name and its data, as JSON.
Listener = Callable[[sa.Connection, House, int, str, Any], object]


class Listeners:
    """Whoever wants to hear of events in this house."""

    def __init__(self, house: House) -> None:
        del house
        self.all: list[Listener] = []


def tell(connection: sa.Connection, house: House, *, organization_id: int, event: str, data: Any) -> None:
    """Announce an event; `data` may hold whatever JSON can, times as text, and never a secret."""
    for listener in house.part(Listeners).all:
        listener(connection, house, organization_id, event, data)
