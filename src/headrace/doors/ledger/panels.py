"""Dashboard panels of an account."""

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody

from headrace.core.dashboards import panels
from headrace.core.dashboards.panels import Panel
from headrace.doors.ledger import shapes
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["dashboard"]
READ, WRITE = ("panels", "read"), ("panels", "write")


@get(
    "/api/v1/dashboard/panels",
    opt=terms("KJ", READ, crash="Failed to retrieve panels", errors=(403,)),
    tags=TAGS,
    sync_to_thread=True,
)
def list_all(call: Incoming) -> shapes.PanelList:
    """List the account's panels in their order."""
    found = [_shown(one) for one in panels.list_all(call.house, call.who)]
    return shapes.PanelList(found, len(found))


@post(
    "/api/v1/dashboard/panels",
    opt=terms("KJ", WRITE, body="body_limit", crash="Failed to create panel", errors=(403,)),
    tags=TAGS,
    sync_to_thread=True,
)
def create(call: Incoming, data: JSONBody[shapes.NewPanel]) -> shapes.PanelOut:
    """Create a panel."""
    return _shown(panels.create(call.house, call.who, **msgspec.structs.asdict(data)))


@put(
    "/api/v1/dashboard/panels/{panel_id:str}",
    opt=terms("KJ", WRITE, body="body_limit", crash="Failed to update panel", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def update(call: Incoming, panel_id: FromPath[str], data: JSONBody[shapes.NewPanel]) -> shapes.PanelOut:
    """Replace a panel; all six fields are required."""
    return _shown(panels.update(call.house, call.who, panel_id=panel_id, **msgspec.structs.asdict(data)))


@delete(
    "/api/v1/dashboard/panels/{panel_id:str}",
    opt=terms("KJ", WRITE, crash="Failed to delete panel", errors=(403, 404)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def remove(call: Incoming, panel_id: FromPath[str]) -> shapes.Done:
    """Delete a panel."""
    panels.delete(call.house, call.who, panel_id=panel_id)
    return shapes.Done(message=f"Panel {panel_id} deleted successfully")


def _shown(panel: Panel) -> shapes.PanelOut:
    return shapes.PanelOut(
        id=panel.id,
        name=panel.name,
        index=panel.index,
        project_id=panel.project_id,
        time_range_from=times.show(panel.time_range_from),
        time_range_to=times.show(panel.time_range_to),
        type=panel.type,
    )


ROUTES = (list_all, create, update, remove)
