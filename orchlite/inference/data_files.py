"""Files with data for an inference: Arrow tables, records and other JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchlite.core.errors import BadArgument, BadData
from orchlite.core.system_errors import shortages
from orchlite.inference import libraries as lib

ARROW = "arrow"
CUSTOM_JSON = "custom-json"
RECORDS = "pandas-records"
_FORMATS = {".arrow": ARROW, ".json": RECORDS}


def read(path: Path, data_format: str | None = None) -> Any:
    """Return what the file has: an Arrow table, a DataFrame, or parsed JSON, which is what `custom-json` is.

    data_format: `arrow`, `pandas-records` or `custom-json`; by default the file's suffix says it, `.arrow` or `.json`.

    Raises:
        BadArgument: the format is unknown, or the file cannot be read.
        BadData: the file is not in its format, or its records differ in their keys.
        MissingExtra: pandas or pyarrow is not installed.
        ResourceExhausted: too many files are open.
    """
    known = data_format or _FORMATS.get(path.suffix.lower())
    try:
        with shortages(f"{str(path)!r} cannot be read", path=str(path)):
            match known:
                case "arrow":
                    return lib.pa.ipc.open_file(path.read_bytes()).read_all()  # ArrowInvalid is a ValueError
                case "pandas-records":
                    return lib.pd.DataFrame.from_records(_checked_records(json.loads(path.read_bytes()), path))
                case "custom-json":
                    return json.loads(path.read_bytes())
    except OSError as error:
        raise BadArgument(f"{str(path)!r} cannot be read: {error.strerror or error}.", argument="filename") from error
    except ValueError as error:
        if isinstance(error, BadData):
            raise
        raise BadData(f"{str(path)!r} is not in the format {known!r}: {error}", hint="Check the file, or data_format.") from error
    if data_format:
        raise BadArgument(f"data_format is {data_format!r}.", hint=f"It takes {ARROW}, {RECORDS}, {CUSTOM_JSON}.", argument="data_format")
    raise BadArgument(
        f"{path.name!r} has the suffix {path.suffix!r}.", hint="It takes .arrow or .json; or give data_format.", argument="filename"
    )


def _checked_records(records: Any, path: Path) -> Any:
    is_valid = isinstance(records, list) and records and all(isinstance(record, dict) for record in records)
    if not is_valid or any(record.keys() != records[0].keys() for record in records):
        hint = "It has to be a list of dictionaries with the same keys."
        raise BadData(f"{str(path)!r} has no records of pandas.", hint=hint)
    return records
