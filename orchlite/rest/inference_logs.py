"""The endpoint `logs/topic/…/records`: the logs of inferences, in pages, as Arrow files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Response

from orchlite.rest import data_formats
from orchlite.rest.body_rules import ARROW
from orchlite.rest.dependencies import JsonRoute, OldData, Pipelines, Selected
from orchlite.rest.model_requests import LogIterator
from orchlite.rest.request_models import Timestamp

if TYPE_CHECKING:
    from orchlite.operations.inference import LogPosition

router = APIRouter(prefix="/v1/logs/topic", tags=["inference"], route_class=JsonRoute)

_STATUSES = {None: "All", "rows": "RecordLimited", "schema": "SchemaChange", "bytes": "ByteLimited"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The records.", "content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post("/{topic}/records", response_class=Response, responses=_FILE)
def records(
    topic: str,
    pipelines: Pipelines,
    old: OldData,
    chosen: Selected,
    body: LogIterator | None = None,
    page_size: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    start: Annotated[Timestamp | None, Query(alias="time.start")] = None,
    end: Annotated[Timestamp | None, Query(alias="time.end")] = None,
) -> Response:
    """Get the records of a pipeline's inferences: the newest first, or with two dates those between them, the oldest first.

    The schema's metadata has `status`, JSON of `{"status": All, RecordLimited, SchemaChange or ByteLimited, "next": …}`. A request whose
    body is `next` continues there.
    """
    from orchlite.operations.inference import LogPosition

    position = None if body is None or body.log_id is None else LogPosition(_EPOCH + body.at * _MICROSECOND, body.log_id, body.rows)
    found = pipelines.logs(topic, position, limit=page_size, since=start, until=end, selection=chosen)
    table = data_formats.shown_table(found.table, chosen, old=old)
    status = {"status": _STATUSES[found.stopped_by], "next": _next(found.end)}
    return Response(data_formats.file_of(table, status), media_type=ARROW)


def _next(end: LogPosition | None) -> dict[str, int] | None:
    return None if end is None else {"at": (end.at - _EPOCH) // _MICROSECOND, "log_id": end.log_id, "rows": end.rows}
