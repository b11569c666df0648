"""A job of the workflow `data_processing`, in the process that runs it."""

from typing import Any

from headrace.core.attempts import NonRetryable
from headrace.core.processing import ProcessingError, process
from headrace.core.processing.folders import folders


def run(context: Any) -> dict[str, Any]:
    """Process what the payload says. `prepared` has the operator's `folders`, and the organization's `slug`.

    What cannot work is not tried again.
    """
    total = None
    if isinstance(context.payload, dict) and isinstance(context.payload.get("records"), list):
        total = len(context.payload["records"])

    def progress(done: int) -> None:
        context.progress(done, total, "records read")

    try:
        among = folders(context.prepared["folders"])
        return process(context.payload, among, context.prepared["slug"], progress)
    except ProcessingError as error:
        raise NonRetryable(str(error)) from error
