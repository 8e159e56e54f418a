"""Write what the models of a shadow deployment returned in the last hours into a SQL database, where they can be compared."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import sqlalchemy as sql
import wallaroo

UTC = timezone.utc  # noqa: UP017 - datetime.UTC is new in Python 3.11, which a platform may not have
RESULTS = sql.Table(
    "shadow_results",
    sql.MetaData(),
    sql.Column("pipeline", sql.Text, nullable=False),
    sql.Column("at", sql.DateTime, nullable=False, index=True),  # UTC
    sql.Column("house", sql.JSON, nullable=False),
    sql.Column("model", sql.Text, nullable=False),
    sql.Column("price", sql.Double, nullable=False),
)


def pages(pipeline: Any, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
    """The logs of a period. Where their columns change, as with another challenger, a request for them ends before its end."""
    while not (page := pipeline.logs(start_datetime=start, end_datetime=end)).empty:
        yield page
        start = page["time"].max().to_pydatetime().replace(tzinfo=UTC) + timedelta(milliseconds=1)


def rows(pipeline: Any, page: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for each result: the champion's column is `out.price`, a challenger's `out_NAME.price`."""
    for column in page.filter(regex=r"^out(_.*)?\.price$"):
        model = column.removesuffix(".price").removeprefix("out").removeprefix("_") or "champion"
        for at, house, [price] in page[["time", "in.tensor", column]].itertuples(index=False):
            row = {"pipeline": pipeline.name(), "at": at.to_pydatetime(), "house": list(map(float, house))}
            yield row | {"model": model, "price": float(price)}


def main() -> None:
    wl = wallaroo.Client()
    arguments = wl.task_args()
    wl.set_current_workspace(wl.get_workspace(arguments["workspace"]))
    pipeline = wl.get_pipeline(arguments["pipeline"])
    end = datetime.now(UTC)
    start = end - timedelta(hours=arguments.get("hours", 24))
    results = [row for page in pages(pipeline, start, end) for row in rows(pipeline, page)]

    engine = sql.create_engine(wl.get_connection(arguments["connection"]).details()["url"])
    of_period = (RESULTS.c.pipeline == pipeline.name()) & RESULTS.c.at.between(start.replace(tzinfo=None), end.replace(tzinfo=None))
    with engine.begin() as database:
        RESULTS.create(database, checkfirst=True)
        database.execute(RESULTS.delete().where(of_period))  # a second run writes the same rows again
        if results:
            database.execute(RESULTS.insert(), results)
    print(f"{len(results)} results of {pipeline.name()} since {start:%Y-%m-%d %H:%M} UTC are in {RESULTS.name}")


if __name__ == "__main__":
    main()
