"""Data of inferences on the wire: JSON and Arrow files, in the formats of the platform's clients.

Without a separator, what is in a group is nested: `{"out": {"variable": …}}`, and in Arrow files structs. The SDK always sends one.
Clients of 2023 have one column `check_failures`, a list of the validations that mark the row, in place of the columns `anomaly.…`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchlite.core.errors import BadArgument, BadData
from orchlite.inference import frames
from orchlite.inference import libraries as lib
from orchlite.inference.results import COUNT, TIME, InferenceResult
from orchlite.inference.selection import SEPARATOR, Selection
from orchlite.rest.request_models import parse_json
from orchlite.rest.serializers import Compatibility

RECORDS_FORMAT = "pandas-records"
CHECK_FAILURES = "check_failures"
_ANOMALY = "anomaly"
_STATUS = b"status"
_OLD_CLIENT = re.compile(r"python-httpx/0\.(1\d|2[0-3])(\.|$)|python-requests/|WallarooSDK/202[0-3]\.")
"""The SDK of 2023 sends data with `requests`, asks for logs under its own name, and calls everything else with `httpx`."""


def is_old(user_agent: str | None, compatibility: Compatibility | None) -> bool:
    """Return whether a client expects the formats of 2023: by the server's setting, else by its User-Agent."""
    return bool(_OLD_CLIENT.match(user_agent or "")) if compatibility is None else compatibility == "2023"


def records(body: bytes) -> Any:
    """Return the data of a DataFrame that was sent as records.

    Raises:
        BadArgument: it is not JSON, or neither an object nor a list.
        BadData: it is no list of records, they differ in their keys, or there are none.
    """
    return frames.from_json(json_data(body))._replace(form="frame")


def json_data(body: bytes) -> dict[str, Any] | list[Any]:
    """Return the columns or records that were sent as JSON.

    Raises:
        BadArgument: it is not JSON, or neither an object nor a list.
    """
    data = parse_json(body)
    if not isinstance(data, dict | list):
        raise BadArgument("The body is neither an object nor a list.", hint="Send columns or records.", argument="body")
    return data


def table(body: bytes) -> Any:
    """Return the Arrow table of a file.

    Raises:
        BadData: it is no Arrow file, or is damaged.
    """
    pa = lib.pa
    try:
        found = pa.ipc.open_file(pa.py_buffer(body)).read_all()
        found.validate(full=True)  # what is wrong inside could end this process later
    except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError
        raise BadData(f"The body is no Arrow file: {error!s:.200}.", hint="Send the file format, not the stream format.") from error
    return found


def groups(names: Sequence[str] | None, *, old: bool) -> Sequence[str] | None:
    """Return the groups and columns that a request names, under their names here."""
    return [_ANOMALY if name == CHECK_FAILURES else name for name in names] if names and old else names


def shown_records(result: InferenceResult, chosen: Selection, *, old: bool) -> list[dict[str, Any]]:
    """Return the records of a result, as JSON takes them."""
    found = result.to_records(chosen)
    if old:
        found = [_with_failures(record, chosen) for record in found]
    return found if chosen.separator else [_nested(record) for record in found]


def _nested(record: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in record.items():
        group, separator, rest = name.partition(SEPARATOR)
        if separator:
            found.setdefault(group, {})[rest] = value
        else:
            found[name] = value
    return found


def _with_failures(record: dict[str, Any], chosen: Selection) -> dict[str, Any]:
    # Always: a client of 2023 fails without this field.
    prefix = _ANOMALY + (chosen.separator or SEPARATOR)
    checks = {name.removeprefix(prefix): value for name, value in record.items() if name.startswith(prefix)}
    others = {name: value for name, value in record.items() if not name.startswith(prefix)}
    return {**others, CHECK_FAILURES: [name for name, value in checks.items() if value is True]}


def shown_table(found: Any, chosen: Selection, *, old: bool) -> Any:
    """Return a table as it is sent: the time in milliseconds since 1970."""
    if TIME in found.column_names:
        place = found.column_names.index(TIME)
        field = lib.pa.field(TIME, lib.pa.int64(), nullable=False)
        found = found.set_column(place, field, found.column(TIME).cast(lib.pa.int64()))
    if old:
        found = _table_with_failures(found, chosen)
    return found if chosen.separator else _nested_table(found)


def _nested_table(found: Any) -> Any:
    """Return a table with a struct for the columns of each group."""
    pa = lib.pa
    fields = _nested({field.name: field for field in found.schema})
    arrays = {name: _struct(found, group, name) if isinstance(group, dict) else found.column(name) for name, group in fields.items()}
    schema = [pa.field(name, arrays[name].type, nullable=False) if isinstance(group, dict) else group for name, group in fields.items()]
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(schema))


def _struct(found: Any, fields: Mapping[str, Any], group: str) -> Any:
    columns = [found.column(f"{group}{SEPARATOR}{name}").combine_chunks() for name in fields]
    return lib.pa.StructArray.from_arrays(columns, fields=[field.with_name(name) for name, field in fields.items()])


def _table_with_failures(found: Any, chosen: Selection) -> Any:
    separator = chosen.separator or SEPARATOR
    count = COUNT.replace(".", separator, 1)
    if count not in found.column_names:
        return found
    prefix = _ANOMALY + separator
    marks = {name.removeprefix(prefix): found.column(name).to_pylist() for name in found.column_names if name.startswith(prefix)}
    marks.pop(count.removeprefix(prefix))
    failures = [[name for name, column in marks.items() if column[row]] for row in range(found.num_rows)]
    kept = found.drop_columns([name for name in found.column_names if name.startswith(prefix)])
    return kept.append_column(CHECK_FAILURES, lib.pa.array(failures, type=lib.pa.list_(lib.pa.string())))


def file_of(found: Any, status: Mapping[str, Any] | None = None) -> bytes:
    """Return a table as an Arrow file. `status` becomes JSON in the schema's metadata."""
    pa = lib.pa
    if status is not None:
        found = found.replace_schema_metadata({_STATUS: json.dumps(status)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, found.schema) as writer:
        writer.write_table(found)
    content: bytes = sink.getvalue().to_pybytes()
    return content
